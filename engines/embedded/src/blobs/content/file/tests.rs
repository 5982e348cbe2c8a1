use super::*;

struct Bed {
    _directory: tempfile::TempDir,
    files: FileContents,
}

fn bed() -> Bed {
    let directory = tempfile::tempdir().unwrap();
    let files = FileContents::open(directory.path().join("blobs"), Durability::Second).unwrap();
    Bed {
        _directory: directory,
        files,
    }
}

impl Bed {
    fn write(&self, content: &[u8], part_bytes: usize) -> ContentId {
        let mut draft = self.files.begin(ContentId::random().unwrap()).unwrap();
        let id = draft.id();
        for part in content.chunks(part_bytes) {
            draft.write(part).unwrap();
        }
        draft.finish().unwrap();
        id
    }

    fn read(&self, id: ContentId, size: usize) -> Result<Vec<u8>> {
        let reading = self.files.open_content(id, size as u64)?.unwrap();
        let mut content = Vec::new();
        for chunk in 0..reading.chunks() {
            content.extend(reading.read(chunk, 1)?.concat());
        }
        Ok(content)
    }

    fn temporary(&self) -> usize {
        fs::read_dir(self.files.root().join(TEMPORARY)).unwrap().count()
    }
}

fn content(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(&mut next).take(bytes).collect()
}

#[test]
fn what_is_written_in_any_parts_reads_back_in_any_parts() {
    let bed = bed();
    let sizes = [
        0,
        1,
        CHUNK_BYTES - 1,
        CHUNK_BYTES,
        CHUNK_BYTES + 1,
        9 * CHUNK_BYTES,
        9 * CHUNK_BYTES + 5,
    ];
    for size in sizes {
        let content = content(size);
        for part_bytes in [777, CHUNK_BYTES, 3 * CHUNK_BYTES + 1] {
            let id = bed.write(&content, part_bytes);
            assert!(
                bed.read(id, size).unwrap() == content,
                "{size} bytes in parts of {part_bytes}"
            );
            let reading = bed.files.open_content(id, size as u64).unwrap().unwrap();
            let rest = reading.read(1, usize::MAX).unwrap().concat();
            assert!(rest == content[CHUNK_BYTES.min(size)..]);
            bed.files.remove(id).unwrap();
            assert!(bed.files.open_content(id, size as u64).unwrap().is_none());
            bed.files.remove(id).unwrap();
        }
    }
    assert_eq!(bed.temporary(), 0);
}

#[test]
fn a_content_that_is_removed_is_read_to_its_end_by_who_has_it_open() {
    let bed = bed();
    let content = content(3 * CHUNK_BYTES);
    let id = bed.write(&content, content.len());
    let reading = bed.files.open_content(id, content.len() as u64).unwrap().unwrap();
    bed.files.remove(id).unwrap();
    assert!(reading.read(0, 3).unwrap().concat() == content);
}

#[test]
fn every_flipped_byte_is_found_before_it_is_served() {
    let bed = bed();
    let content = content(CHUNK_BYTES + 10);
    let id = bed.write(&content, content.len());
    let path = bed.files.path(id);
    let whole = fs::read(&path).unwrap();
    let ends = [
        0..HEADER.len(),
        HEADER.len()..HEADER.len() + 40,
        STORED_CHUNK_BYTES - 40..whole.len(),
    ];
    for place in ends.into_iter().flatten() {
        let mut flipped = whole.clone();
        flipped[place] ^= 0x20;
        fs::write(&path, &flipped).unwrap();
        let read = bed.read(id, content.len());
        assert!(
            matches!(read, Err(EngineError::Damaged(_))),
            "byte {place}: {read:?}"
        );
        // What is not damaged is still there for those who ask for it only.
        if place > HEADER.len() + STORED_CHUNK_BYTES {
            let reading = bed.files.open_content(id, content.len() as u64).unwrap().unwrap();
            assert!(reading.read(0, 1).unwrap().concat() == content[..CHUNK_BYTES]);
        }
    }
}

#[test]
fn cut_lengthened_and_mixed_up_files_are_found_out() {
    let bed = bed();
    let content = content(2 * CHUNK_BYTES);
    let id = bed.write(&content, content.len());
    let path = bed.files.path(id);
    let whole = fs::read(&path).unwrap();
    let (header, chunks) = whole.split_at(HEADER.len());
    let (first, second) = chunks.split_at(STORED_CHUNK_BYTES);
    let swapped = [header, second, first].concat();
    let longer = [&whole[..], &[0]].concat();
    for damaged in [&whole[..whole.len() - 1], &whole[..3], &[], &swapped, &longer] {
        fs::write(&path, damaged).unwrap();
        let read = bed.read(id, content.len());
        assert!(matches!(read, Err(EngineError::Damaged(_))), "{read:?}");
    }
    let other = bed.write(&content, content.len());
    fs::copy(bed.files.path(other), &path).unwrap();
    assert!(
        matches!(bed.read(id, content.len()), Err(EngineError::Damaged(_))),
        "another's content"
    );
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let bed = bed();
    let mut draft = bed.files.begin(ContentId::random().unwrap()).unwrap();
    draft.write(&content(9 * CHUNK_BYTES)).unwrap();
    assert_eq!(bed.temporary(), 1);
    drop(draft);
    assert_eq!(bed.temporary(), 0);

    let left = bed.files.begin(ContentId::random().unwrap()).unwrap().temporary;
    fs::write(&left.path, "of a process that was killed").unwrap();
    FileContents::open(bed.files.root().to_owned(), Durability::Second).unwrap();
    assert_eq!(bed.temporary(), 0);
}

#[test]
fn a_full_disk_is_said_so_and_leaves_nothing() {
    let bed = bed();
    let id = ContentId::random().unwrap();
    let path = bed.files.root().join(TEMPORARY).join(id.to_string());
    fs::write(&path, "").unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut draft = FileDraft::new(id, bed.files.clone(), full, path);
    let written = draft.write(&content(9 * CHUNK_BYTES));
    assert!(
        matches!(written, Err(EngineError::Unavailable { .. })),
        "{written:?}"
    );
    let finished = draft.finish();
    assert!(
        matches!(finished, Err(EngineError::Unavailable { .. })),
        "{finished:?}"
    );
    assert_eq!(bed.temporary(), 0);
}
