//! How bytes become frames, and frames bytes.

use proptest::prelude::*;
use switchboard_peer::Handlers;
use switchboard_peer::websocket::Framing;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{self, handlers};
use crate::frames::*;

#[tokio::test]
async fn each_piece_is_a_frame_for_the_original_client() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::binary("r0001004echo00000005")).await;
    end.send(Frame::text("hello")).await;
    end.hear("R000100000005").await;
    end.hear("hello").await;
    end.send(Frame::binary("r0002004echo00000000")).await;
    end.hear("R000200000000").await;
    peer.notify_raw("note", "x").await.unwrap();
    end.hear("n004note00000001").await;
    end.hear("x").await;
    let large = vec![7; 3 << 20];
    peer.notify_raw("", large.clone()).await.unwrap();
    end.hear("n00000300000").await;
    end.hear(large).await;
}

#[tokio::test]
async fn a_batch_is_one_frame_for_our_own_client() {
    const CALLS: usize = 1000;
    let (_peer, mut end) = serving(handlers(), Framing::Batch, common::quiet()).await;
    let call = |call| format!("r{call:04}004echo00000002hi");
    let calls: String = (0..CALLS).map(call).collect();
    end.send(Frame::binary(calls)).await;
    let mut bytes = vec![];
    let mut frames = 0;
    while bytes.len() < CALLS * "R000000000002hi".len() {
        bytes.extend(end.next().await.unwrap().payload);
        frames += 1;
    }
    assert!(frames <= CALLS / 20, "{frames} frames for {CALLS} messages");
}

#[tokio::test]
async fn a_large_payload_in_batches_arrives_whole() {
    let (peer, mut end) = serving(Handlers::new(), Framing::Batch, common::quiet()).await;
    let large: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    peer.notify_raw("large", large.clone()).await.unwrap();
    let head = b"n005large002dc6c0";
    let heard = end.bytes(head.len() + large.len()).await;
    assert_eq!(heard[..head.len()], *head);
    assert!(heard[head.len()..] == large);
}

#[tokio::test]
async fn empty_frames_are_nothing() {
    let (_peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    for opcode in [TEXT, BINARY, PONG] {
        end.send(Frame::new(opcode, "")).await;
        end.send(Frame::binary("r0001004ec").unfinished()).await;
        end.send(Frame::new(CONTINUATION, "").unfinished()).await;
        end.send(Frame::new(CONTINUATION, "ho00000000")).await;
        end.hear("R000100000000").await;
    }
}

#[tokio::test]
async fn text_may_be_cut_within_a_character() {
    let (_peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::text("r0001004echo00000003")).await;
    end.send(Frame::text(b"\xe2\x82").unfinished()).await;
    end.send(Frame::new(PONG, "")).await;
    end.send(Frame::new(CONTINUATION, "").unfinished()).await;
    end.send(Frame::new(CONTINUATION, b"\xac")).await;
    end.hear("R000100000003").await;
    end.hear("\u{20ac}").await;
}

#[tokio::test]
async fn a_ping_is_answered_between_frames() {
    let (peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    end.send(Frame::new(PING, "one")).await;
    end.expect(Frame::new(PONG, "one")).await;
    // Within a message, and within one of fragments.
    end.send(Frame::binary("r0001004ec").unfinished()).await;
    end.send(Frame::new(PING, [0; 125])).await;
    end.expect(Frame::new(PONG, [0; 125])).await;
    end.send(Frame::new(CONTINUATION, "ho00000000")).await;
    end.hear("R000100000000").await;
    // Within a payload of ours that does not fit the pipe.
    let large = vec![7; 1 << 20];
    peer.notify_raw("", large.clone()).await.unwrap();
    end.hear("n00000100000").await;
    end.send(Frame::new(PING, "two")).await;
    end.hear(large).await;
    end.expect(Frame::new(PONG, "two")).await;
}

#[tokio::test]
async fn many_pings_cost_no_memory() {
    let (_peer, mut end) = serving(handlers(), Framing::Pieces, common::quiet()).await;
    // Nobody reads the pongs: each that could not be written is replaced by the next.
    for at in 0..100_000_u32 {
        end.send(Frame::new(PING, [at.to_be_bytes(); 25].concat())).await;
    }
    end.send(Frame::binary("r0001004echo00000000")).await;
    let mut pongs = 0;
    let last = loop {
        let frame = end.next().await.unwrap();
        if frame.opcode != PONG {
            break frame;
        }
        pongs += 1;
    };
    assert_eq!(last.payload, b"R000100000000");
    assert!(pongs < 100_000, "{pongs}");
}

/// Cuts bytes into frames, text where it can be, and with pings between them.
fn frames(bytes: &[u8], cuts: &[(usize, u8)]) -> Vec<Frame> {
    let mut frames = vec![];
    let mut rest = bytes;
    let mut within = false;
    for (size, kind) in cuts.iter().cycle() {
        if rest.is_empty() {
            return frames;
        }
        let (now, later) = rest.split_at(rest.len().min(*size));
        rest = later;
        let opcode = match kind % 2 {
            _ if within => CONTINUATION,
            0 if std::str::from_utf8(bytes).is_ok() && now.is_ascii() => TEXT,
            _ => BINARY,
        };
        // Of text every fragment would have to be text.
        let goes_on = kind & 2 != 0 && opcode == BINARY || within && kind & 4 != 0;
        within = goes_on && !rest.is_empty();
        let frame = Frame::new(opcode, now);
        frames.push(if within { frame.unfinished() } else { frame });
        if kind & 8 != 0 {
            frames.push(Frame::new(PING, "?"));
        }
    }
    frames
}

/// A pong is read as a heartbeat if there is room for one: a reader of single bytes goes without.
#[tokio::test]
async fn a_small_buffer_is_no_end() {
    let (mut transport, mut end) = transport(Framing::Pieces, &quiet());
    for frame in [Frame::binary("01"), Frame::new(PONG, ""), Frame::binary("h")] {
        end.send(frame).await;
    }
    for wanted in *b"01h" {
        assert_eq!(transport.read_u8().await.unwrap(), wanted);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However the stream is cut into frames, and those on their way, it arrives as it was sent.
    #[test]
    fn cuts_and_merges_change_nothing(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        cuts in proptest::collection::vec((1_usize..300, any::<u8>()), 1..6),
        chunk in 1_usize..200,
        room in 1_usize..400,
    ) {
        let mut wire = vec![];
        frames(&bytes, &cuts).iter().for_each(|frame| wire.extend(frame.encode()));
        wire.extend(Frame::close(1000).encode());
        let arrived = runtime().block_on(async {
            let (mut transport, mut end) = transport(Framing::Pieces, &quiet());
            let sending = async {
                for piece in wire.chunks(chunk) {
                    end.send_bytes(piece).await;
                    tokio::task::yield_now().await;
                }
                end
            };
            let receiving = async {
                let mut arrived = vec![];
                let mut buffer = vec![0; room];
                loop {
                    match transport.read(&mut buffer).await.unwrap() {
                        0 => return arrived,
                        length => arrived.extend_from_slice(&buffer[..length]),
                    }
                }
            };
            tokio::join!(sending, receiving).1
        });
        prop_assert_eq!(arrived, bytes);
    }

    /// However it is written, each piece of gotalk is one frame.
    #[test]
    fn pieces_are_pieces_however_they_are_written(
        cuts in proptest::collection::vec(1_usize..30, 1..5),
        flushes in any::<u8>(),
    ) {
        let pieces: [&[u8]; 7] = [
            b"01", b"r0001004echo00000005", b"hello", b"h000000000000", b"n00000000002", b"ab",
            b"R000100000000",
        ];
        let stream = pieces.concat();
        let heard = runtime().block_on(async {
            let (mut transport, mut end) = transport(Framing::Pieces, &quiet());
            let mut rest = &stream[..];
            for (turn, size) in cuts.iter().cycle().enumerate() {
                let (now, later) = rest.split_at(rest.len().min(*size));
                transport.write_all(now).await.unwrap();
                if flushes >> (turn % 8) & 1 == 1 {
                    transport.flush().await.unwrap();
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            transport.shutdown().await.unwrap();
            end.rest().await
        });
        let mut wanted: Vec<_> = pieces.iter().map(Frame::binary).collect();
        wanted.push(Frame::close(1000));
        let wanted: Vec<_> = wanted.into_iter().map(Frame::unmasked).collect();
        prop_assert_eq!(heard, wanted);
    }
}
