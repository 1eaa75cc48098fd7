//! Network programs.

use crate::conversation::{Either, first};
use crate::machine::{Endpoint, NetError, Stream};
use crate::sim::Action;
use crate::time::Duration;

use super::super::os::{Os, Reply};
use super::{SocketInfo, base, host_of, join};

pub(super) async fn hostname(os: Os) -> i32 {
    if os.args.iter().any(|arg| arg == "-I" || arg == "-i") {
        os.println(os.facts.ip.to_string());
    } else {
        os.println(&os.facts.host);
    }
    0
}

pub(super) async fn ip(os: Os) -> i32 {
    let words: Vec<&str> = os.args.iter().map(String::as_str).collect();
    if !matches!(words.first(), Some(word) if "address".starts_with(*word)) {
        return os.fail("only `ip addr' is supported here").await;
    }
    os.println("1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN");
    os.println("    inet 127.0.0.1/8 scope host lo");
    os.println("2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP");
    os.println(format!("    inet {}/24 scope global eth0", os.facts.ip));
    0
}

pub(super) async fn ifconfig(os: Os) -> i32 {
    os.println("eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500");
    os.println(format!("        inet {}  netmask 255.255.255.0", os.facts.ip));
    os.println("lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536");
    os.println("        inet 127.0.0.1  netmask 255.0.0.0");
    0
}

/// An address in the format of `ss` and `netstat`.
fn show(at: &Endpoint) -> String {
    match at {
        Endpoint::Ip(at) => at.to_string(),
        Endpoint::Unix(path) => path.clone(),
    }
}

fn sockets(os: &Os, listening: bool, all: bool) -> Vec<SocketInfo> {
    let mut sockets: Vec<SocketInfo> = os
        .facts
        .snapshot
        .sockets
        .iter()
        .filter(|socket| matches!(socket.local, Endpoint::Ip(_)))
        .filter(|socket| all || socket.peer.is_none() == listening)
        .cloned()
        .collect();
    sockets.sort_by(|a, b| {
        (a.peer.is_some(), a.local.port(), &a.local).cmp(&(
            b.peer.is_some(),
            b.local.port(),
            &b.local,
        ))
    });
    sockets
}

pub(super) async fn ss(os: Os) -> i32 {
    let options = os.args.join("");
    let users = options.contains('p');
    let shown = sockets(&os, options.contains('l'), options.contains('a'));
    let tail = if users { "Process" } else { "" };
    os.println(
        format!("State       Recv-Q Send-Q Local Address:Port      Peer Address:Port       {tail}")
            .trim_end(),
    );
    for socket in shown {
        let (state, queue) = if socket.peer.is_some() { ("ESTAB", 0) } else { ("LISTEN", 511) };
        let peer = socket.peer.as_ref().map_or("0.0.0.0:*".into(), show);
        let user = if users && socket.pid != 0 {
            format!("users:((\"{}\",pid={},fd=6))", socket.program, socket.pid)
        } else {
            String::new()
        };
        let line =
            format!("{state:<11} 0      {queue:<6} {:<23} {peer:<23} {user}", show(&socket.local));
        os.println(line.trim_end());
    }
    0
}

pub(super) async fn netstat(os: Os) -> i32 {
    let options = os.args.join("");
    let listening = options.contains('l');
    let users = options.contains('p');
    let title = if listening { "only servers" } else { "w/o servers" };
    os.println(format!("Active Internet connections ({title})"));
    let head = "Proto Recv-Q Send-Q Local Address           Foreign Address         State       ";
    os.println(if users { format!("{head}PID/Program name    ") } else { head.to_owned() });
    for socket in sockets(&os, listening, options.contains('a')) {
        let state = if socket.peer.is_some() { "ESTABLISHED" } else { "LISTEN" };
        let peer = socket.peer.as_ref().map_or("0.0.0.0:*".into(), show);
        let user = match socket.pid {
            0 => "-".to_owned(),
            pid => format!("{pid}/{}", socket.program),
        };
        let user = if users { user } else { String::new() };
        let line = format!(
            "tcp        0      0 {:<23} {peer:<23} {state:<11} {user}",
            show(&socket.local)
        );
        os.println(line.trim_end());
    }
    0
}

pub(super) async fn ping(os: Os) -> i32 {
    let mut count = None;
    let mut target = None;
    let mut args = os.args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-c" => count = args.next().and_then(|n| n.parse::<u32>().ok()),
            "-i" | "-W" | "-w" => {
                args.next();
            }
            flag if flag.starts_with('-') => {}
            host => target = Some(host.to_owned()),
        }
    }
    let Some(target) = target else { return os.fail("usage: ping [-c count] host").await };
    let Some((_, ip)) = host_of(&os, &target) else {
        os.print_error(format!("{target}: Name or service not known")).await;
        return 2;
    };
    os.catch_interrupts(true).await;
    os.println(format!("PING {target} ({ip}) 56(84) bytes of data."));
    os.flush().await;
    let (mut sent, mut received) = (0, 0);
    while count.is_none_or(|count| sent < count) {
        sent += 1;
        let (before, _) = os.now().await;
        // Connecting to port 7 succeeds or is refused, and either takes one round trip.
        let result =
            first(Box::pin(os.connect(&ip.to_string(), 7)), os.ask_sleep(Duration::from_secs(1)))
                .await;
        let (after, _) = os.now().await;
        match result {
            Either::First(Ok(conn)) => {
                os.close_conn(conn).await;
                received += 1;
                pong(&os, ip, sent, after.since(before));
            }
            Either::First(Err(NetError::Refused)) => {
                received += 1;
                pong(&os, ip, sent, after.since(before));
            }
            _ => {}
        }
        os.flush().await;
        let last = count.is_some_and(|count| sent >= count);
        if !last {
            let pause = os.ask_sleep(Duration::from_secs(1));
            if let Either::Second(_) = first(pause, os.ask_interrupt()).await {
                break;
            }
        }
    }
    let lost = (sent - received) * 100 / sent.max(1);
    os.println(format!("\n--- {target} ping statistics ---"));
    os.println(format!("{sent} packets transmitted, {received} received, {lost}% packet loss"));
    i32::from(received == 0)
}

fn pong(os: &Os, ip: std::net::Ipv4Addr, n: u32, took: Duration) {
    let micros = took.as_micros();
    let time = format!("{}.{:03}", micros / 1_000, micros % 1_000);
    os.println(format!("64 bytes from {ip}: icmp_seq={n} ttl=64 time={time} ms"));
}

/// `nc [-zv] host port` and `telnet host port`: sends what is typed, prints what arrives.
pub(super) async fn nc(os: Os) -> i32 {
    let telnet = os.name.as_ref() == "telnet";
    let flags: String = os.args.iter().filter_map(|arg| arg.strip_prefix('-')).collect();
    let words: Vec<&String> = os.args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let (Some(host), Some(port)) = (words.first(), words.get(1).and_then(|port| port.parse().ok()))
    else {
        return os.fail("usage: host port").await;
    };
    if flags.contains('l') {
        return os.fail("-l is not supported here").await;
    }
    if telnet {
        os.println(format!("Trying {host}..."));
        os.flush().await;
    }
    let conn = match os.connect(host, port).await {
        Ok(conn) => conn,
        Err(error) if telnet => {
            return os.fail(format!("Unable to connect to remote host: {error}")).await;
        }
        Err(error) => {
            return os.fail(format!("connect to {host} port {port} (tcp) failed: {error}")).await;
        }
    };
    if flags.contains('z') {
        os.close_conn(conn).await;
        if flags.contains('v') {
            os.print_error(format!("Connection to {host} {port} port [tcp/*] succeeded!")).await;
        }
        return 0;
    }
    if telnet {
        os.println(format!("Connected to {host}.\nEscape character is '^]'."));
        os.flush().await;
    }
    let mut typed = os.ask_read(Stream::Stdin);
    let mut arrived = os.receive(conn);
    loop {
        match first(&mut typed, &mut arrived).await {
            Either::First(Reply::Bytes(Ok(bytes))) if !bytes.is_empty() => {
                let bytes = if telnet {
                    String::from_utf8_lossy(&bytes).replace('\n', "\r\n").into_bytes()
                } else {
                    bytes.to_vec()
                };
                os.send(conn, bytes).await;
                typed = os.ask_read(Stream::Stdin);
            }
            Either::First(_) => {
                if telnet {
                    return 0;
                }
                // The input has ended; prints the replies that still arrive.
                let mut quiet = os.ask_sleep(Duration::from_secs(1));
                while let Either::First(Reply::Received(Ok(bytes))) =
                    first(&mut arrived, &mut quiet).await
                    && !bytes.is_empty()
                {
                    os.print(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
                    os.flush().await;
                    arrived = os.receive(conn);
                }
                return 0;
            }
            Either::Second(Reply::Received(Ok(bytes))) if !bytes.is_empty() => {
                os.print(String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
                os.flush().await;
                arrived = os.receive(conn);
            }
            Either::Second(_) => {
                if telnet {
                    os.println("Connection closed by foreign host.");
                }
                return i32::from(telnet);
            }
        }
    }
}

/// `iptables -A INPUT -s host -j DROP` and similar: cuts a link, in one or both directions.
pub(super) async fn iptables(os: Os) -> i32 {
    let own = os.facts.host.clone();
    let (mut add, mut flush, mut chain, mut peer, mut drop) =
        (true, false, String::new(), None, false);
    let mut args = os.args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "-A" | "-I" => chain = args.next().cloned().unwrap_or_default(),
            "-D" => {
                add = false;
                chain = args.next().cloned().unwrap_or_default();
            }
            "-F" => flush = true,
            "-L" => {
                os.println("Chain INPUT (policy ACCEPT)\nChain OUTPUT (policy ACCEPT)");
                return 0;
            }
            "-s" | "-d" => peer = args.next().cloned(),
            "-j" => drop = args.next().is_some_and(|to| to == "DROP" || to == "REJECT"),
            "-p" | "--dport" | "--sport" => {
                return os
                    .fail(format!("{arg} is not supported here: a link is cut as a whole"))
                    .await;
            }
            _ => {}
        }
    }
    if flush {
        os.request_action(Action::Heal { a: vec![own], b: Vec::new() }).await;
        return 0;
    }
    if !drop {
        return os.fail("only -j DROP is supported here").await;
    }
    let others = match peer {
        None => Vec::new(),
        Some(name) => match host_of(&os, name.trim_end_matches("/32")) {
            Some((host, _)) => vec![host],
            None => return os.fail(format!("host/network `{name}' not found")).await,
        },
    };
    let own = vec![own];
    let action = match (add, chain.as_str()) {
        (false, _) => Action::Heal { a: own, b: others },
        (true, "OUTPUT") => Action::PartitionOneWay { from: own, to: others },
        (true, "INPUT") if others.is_empty() => Action::Partition { a: own, b: others },
        (true, "INPUT") => Action::PartitionOneWay { from: others, to: own },
        (true, chain) => return os.fail(format!("no chain by the name {chain}")).await,
    };
    os.request_action(action).await;
    0
}

/// `scp file ... [user@]host:path`: starts a shell there that writes its input to the file.
pub(super) async fn scp(os: Os) -> i32 {
    use crate::machine::{Command, Group, Stdio};
    let words: Vec<String> = os.args.iter().filter(|arg| !arg.starts_with('-')).cloned().collect();
    let Some((target, sources)) = words.split_last().filter(|(_, sources)| !sources.is_empty())
    else {
        return os.fail("usage: scp file ... host:path").await;
    };
    let Some((host, path)) = target.split_once(':') else {
        return os.fail("only copying to another host is supported here: scp file host:path").await;
    };
    let host = host.rsplit('@').next().unwrap_or(host);
    let Some((host, _)) = host_of(&os, host) else {
        os.print_error(format!("Could not resolve hostname {host}: Name or service not known"))
            .await;
        return 255;
    };
    let mut status = 0;
    for source in sources {
        let bytes = match os.load(source).await {
            Ok(bytes) => bytes,
            Err(error) => {
                status = os.fail(format!("{source}: {error}")).await;
                continue;
            }
        };
        let name = base(source);
        let to = if path.is_empty() { "." } else { path };
        let inside = join(to, name);
        let quote = super::super::run::quote;
        let script = format!(
            "if [ -d {to} ]; then cat > {inside}; else cat > {to}; fi",
            to = quote(to),
            inside = quote(&inside)
        );
        let command = Command {
            env: super::super::login_env(),
            dir: Some("/root".into()),
            stdin: Stdio::Piped,
            stdout: Stdio::Inherit,
            stderr: Stdio::Inherit,
            group: Group::Same,
            ..Command::new("/bin/sh", &["-c", &script])
        };
        let size = bytes.len();
        match os.spawn_on(&host, command).await {
            Ok((child, _)) => {
                let _ = os.write(Stream::ChildStdin(child), bytes).await;
                os.close(Stream::ChildStdin(child)).await;
                let ended = os.wait_end(child).await.code();
                if ended == 0 {
                    os.println(format!("{name:<40} 100% {size:>6}     1.0MB/s   00:00"));
                } else {
                    status = 1;
                }
            }
            Err(error) => {
                os.print_error(format!("connect to host {host} port 22: {error}")).await;
                status = 255;
            }
        }
    }
    status
}
