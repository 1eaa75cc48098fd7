//! Checking configuration files of proxies, and reloading them by SIGHUP while clients stay
//! connected.

use std::process::{Command, Output};

use limpid_core::resp::value::Value;
use limpid_tests::client::Client;
use limpid_tests::process::{Process, binary};

use super::{ports, redis, until};

/// Starts `limpid proxy` with these arguments. Returns it once it listens, with a client.
fn proxy(args: &[&str], file: (&str, &str), port: u16) -> (Process, Client) {
    let args = [&["proxy"], args].concat();
    let process = Process::start(&args, &[file], port);
    until(
        || format!("the proxy does not listen:\n{}", process.output()),
        || std::net::TcpStream::connect(process.address()).is_ok(),
    );
    let client = Client::new(process.connect());
    (process, client)
}

/// Writes the file and makes the proxy reload it.
fn change(proxy: &Process, name: &str, text: &str) {
    std::fs::write(proxy.dir().join(name), text).expect("a file");
    let status = Command::new("kill").args(["-HUP", &proxy.pid().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
}

fn set(client: &mut Client, key: &str) {
    assert_eq!(client.call(&["SET", key, "x"]), Value::Simple(b"OK".to_vec()), "{key}");
}

fn has(port: u16, key: &str) -> bool {
    super::client(port).call(&["EXISTS", key]) == Value::Integer(1)
}

fn check(dir: &Process, name: &str, text: &str) -> Output {
    let path = dir.dir().join(name);
    std::fs::write(&path, text).expect("a file");
    Command::new(binary()).args(["proxy", "--check"]).arg(path).output().expect("limpid runs")
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Tests a proxy with a file that adds a second server, and with an invalid file.
fn takes_over(args: &[&str], name: &str, file: impl Fn(u16) -> String, bad: (&str, &str)) {
    let [listen, a, b] = ports();
    let _servers = [redis(a, &[]), redis(b, &[])];
    let file = |server: u16| file(server).replace("LISTEN", &listen.to_string());
    let (mut proxy, mut client) = proxy(args, (name, &file(a)), listen);
    set(&mut client, "before");
    assert!(has(a, "before") && !has(b, "before"));

    // The same connection reaches the new server.
    change(&proxy, name, &file(b));
    let taken = proxy.wait_for_line("reloaded");
    assert!(taken.is_ok(), "{taken:?}");
    until(
        || format!("the new server is not used:\n{}", proxy.output()),
        || {
            set(&mut client, "after");
            has(b, "after")
        },
    );
    assert!(!has(b, "before"));

    // An invalid file is reported with its line, by --check and, after a reload, in the log.
    let (mistake, complaint) = bad;
    let broken = format!("{}{mistake}\n", file(a));
    let line = broken.lines().count();
    let place = [format!("(line {line})"), format!(":{line}")];
    let names_it = |text: &str| text.contains(complaint) && place.iter().any(|p| text.contains(p));
    let checked = check(&proxy, &format!("new-{name}"), &broken);
    assert_eq!(checked.status.code(), Some(1), "{}", said(&checked));
    assert!(names_it(&said(&checked)), "{}", said(&checked));
    let good = check(&proxy, &format!("new-{name}"), &file(a));
    assert!(good.status.success(), "{}", said(&good));
    change(&proxy, name, &broken);
    let stays = proxy.wait_for_line("stays");
    assert!(stays.is_ok(), "{stays:?}");
    assert!(names_it(&proxy.output()), "{}", proxy.output());
    set(&mut client, "still");
    assert!(has(b, "still"));
}

#[test]
fn twemproxy_takes_a_changed_file_over_and_its_clients_stay() {
    let file = |server| {
        format!(
            "alpha:\n  listen: 127.0.0.1:LISTEN\n  redis: true\n  hash: murmur\n  \
             distribution: ketama\n  servers:\n   - 127.0.0.1:{server}:1 it\n"
        )
    };
    let [stats] = ports();
    let stats = stats.to_string();
    let args = ["--twemproxy", "nutcracker.yml", "-v", "6", "-s", &stats, "-a", "127.0.0.1"];
    let bad = ("  colour: red", "directive \"colour\" is unknown");
    takes_over(&args, "nutcracker.yml", file, bad);
}

#[test]
fn predixy_takes_a_changed_file_over_and_its_clients_stay() {
    let file = |server| {
        format!(
            "Name Example\nBind 127.0.0.1:LISTEN\nStandaloneServerPool {{\n    Databases 16\n    \
             Hash crc16\n    Distribution modula\n    RefreshMethod fixed\n    Group one {{\n        \
             + 127.0.0.1:{server}\n    }}\n}}\n"
        )
    };
    takes_over(&["predixy.conf"], "predixy.conf", file, ("Colour red", "Colour"));
}
