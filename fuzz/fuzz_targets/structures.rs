//! Takes the input as two logs of a structure (its kind, the length of the first, the first, the second). What they make
//! is written and read again; what they cannot make is damage.
#![no_main]

use libfuzzer_sys::fuzz_target;
use switchboard_engine::structures::Structure;
use switchboard_engine::{EngineError, Kind};

fuzz_target!(|input: &[u8]| {
    let [kind, length, logs @ ..] = input else { return };
    let Some(mut structure) = Kind::of_number(*kind).and_then(Structure::new) else {
        return;
    };
    let (first, second) = logs.split_at(logs.len().min(usize::from(*length)));
    for log in [first, second] {
        if let Err(error) = structure.replay(log) {
            assert!(matches!(error, EngineError::Damaged(_)), "{error}");
            return;
        }
        assert!(structure.log().is_empty());
        assert_eq!(structure.is_empty(), structure.bytes() == 0);
        let decoded = Structure::decode(structure.kind(), &structure.encode()).expect("what was encoded");
        assert_eq!(decoded, structure);
        assert_eq!((decoded.len(), decoded.bytes()), (structure.len(), structure.bytes()));
    }
});
