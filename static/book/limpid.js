// mdBook adds this script to every chapter. It loads the script of the labs: put the address at which
// the page is served here.
document.head.append(
  Object.assign(document.createElement("script"), { src: "https://limpid.example/embed.js" }),
);
