//! What `--help` prints.

/// The usage text.
pub(super) fn text(version: &str) -> String {
    format!(
        "redis-cli {version}

Usage: redis-cli [OPTIONS] [command [argument ...]]
  -h <host>             Name or address of the server (127.0.0.1).
  -p <port>             Port of the server (6379).
  -s <path>             Unix socket of the server, instead of host and port.
  -a, --pass <word>     Password; REDISCLI_AUTH in the environment is safer.
  --user <name>         User that the password belongs to.
  --askpass             Ask for the password at the terminal.
  -u <uri>              redis://[[user:]password@][host[:port]][/db]
  -n <db>               Number of the database.
  -r <n>                Run the command n times, for ever if n is negative.
  -i <seconds>          Pause between repetitions, samples or scans; may be a fraction.
  -2, -3                Version of the protocol.
  -x                    Take the last argument from standard input.
  -X <tag>              Put standard input where the argument <tag> stands.
  -c                    Follow the redirections of a cluster.
  -e                    Exit with 1 when the reply is an error.
  -d <text>             Delimiter between elements in raw output (newline).
  -D <text>             Delimiter between replies in raw output (newline).
  --raw, --no-raw       Plain output (the default for pipes), or output for people.
  --csv, --json         Output as comma-separated values, or as JSON.
  --quoted-json         JSON in which all that is not ASCII is escaped.
  --quoted-input        Arguments are written in quotes with escapes.
  --show-pushes <y|n>   Whether out of band data is shown (yes at a terminal).
  --stat                Show memory, clients and load, line by line.
  --latency             Measure the time that PING takes, again and again.
  --latency-history     The same in ranges of 15 seconds, or of -i.
  --intrinsic-latency <seconds>
                        Measure the pauses of this machine itself.
  --replica             Follow the server's stream of writes.
  --rdb <file>          Transfer the data set to a file; - is the standard output.
  --functions-rdb <file>
                        The same with the functions alone.
  --pipe                Send standard input as it is, and count the replies.
  --pipe-timeout <s>    How long to wait for the last reply (30; 0 for ever).
  --bigkeys             Look for the keys with the most elements.
  --memkeys             Look for the keys that take the most memory.
  --memkeys-samples <n> The same with n elements sampled in each key.
  --hotkeys             Look for the keys that are used most (with an LFU policy).
  --scan                List the keys with SCAN.
  --pattern <glob>      Only these keys.
  --quoted-pattern <g>  The same, written in quotes with escapes.
  --count <n>           How many keys SCAN looks at in one step (10).
  --eval <file>         Run the script in the file: keys, a comma, arguments.
  --verbose             Say more.
  --no-auth-warning     Say nothing about passwords on the command line.
  --help, --version     This text; the version.

Without a command lines are read from the terminal, or from standard input.
There, \"help\" tells about the commands.

Examples:
  redis-cli -x set motd < /etc/motd
  redis-cli -r 100 -i 1 info memory
  redis-cli --scan --pattern 'user:*'
  redis-cli --quoted-input set '\"a\\x00b\"' value
"
    )
}
