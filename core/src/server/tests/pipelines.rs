//! Pipelined requests.

use super::*;
use crate::rng::Rng;

#[test]
fn pipelined_requests_are_answered_like_single_ones() {
    let requests: Vec<Vec<u8>> = [
        &["GET", "a"][..],
        &["GET", "b"],
        &["GET", "list"],
        &["get", "a"],
        &["GET", "a", "b"],
        &["GET"],
        &["GETX", "a"],
        &["SET", "a", "1"],
        &["SET", "b", "a longer value"],
        &["SET", "a", "2", "NX"],
        &["SET", "b"],
        &["SET", "c", "3", "GET"],
        &["DEL", "a", "b", "c"],
        &["DEL", "list"],
        &["RPUSH", "list", "1"],
        &["RPUSH", "list", "2", "3"],
        &["MULTI"],
        &["EXEC"],
        &["PING"],
        &["SELECT", "1"],
        &["SELECT", "0"],
    ]
    .iter()
    .map(|words| encoded(words))
    .chain([b"get a\r\n".to_vec(), b"*2\r\n$3\r\nGET\r\n$01\r\na\r\n".to_vec(), b"*0\r\n".to_vec()])
    .collect();
    let mut rng = Rng::new(7);
    for round in 0..300 {
        // Mostly the same command again, as in typical pipelines.
        let mut at = 0;
        let chosen: Vec<&Vec<u8>> = (0..40)
            .map(|_| {
                if rng.below(3) == 0 {
                    at = rng.below(requests.len() as u64) as usize;
                }
                &requests[at]
            })
            .collect();
        let (mut alone, mut together) = (Driver::new(""), Driver::new(""));
        let (a, b) = (alone.connect(), together.connect());
        let expected: String = chosen.iter().map(|request| alone.send(a, request)).collect();
        let all: Vec<u8> = chosen.iter().copied().flatten().copied().collect();
        let cut = rng.below(all.len() as u64) as usize;
        let mut got = together.send(b, &all[..cut]);
        got += &together.send(b, &all[cut..]);
        assert_eq!(got, expected, "round {round}: {}", String::from_utf8_lossy(&all));
    }
}
