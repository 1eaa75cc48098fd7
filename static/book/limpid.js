// mdBook puts this script into every chapter. The labs' own script comes from where the page is
// served; put that address here.
document.head.append(
  Object.assign(document.createElement("script"), { src: "https://limpid.example/embed.js" }),
);
