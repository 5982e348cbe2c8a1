//! gotalk v1 by hand, after its description: text in, text out.

/// One message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its first byte, which tells what it is.
    pub kind: char,
    /// The request's id; empty where there is none.
    pub id: Vec<u8>,
    /// Operation, or name of the notification; empty where there is none.
    pub name: String,
    /// The wait of a Retry in milliseconds, or the code of a protocol error; else 0.
    pub number: u32,
    /// The payload; empty where there is none.
    pub payload: Vec<u8>,
}

impl Message {
    /// Reads one by `read`, which returns exactly as many bytes as it is asked for.
    ///
    /// # Panics
    /// If the bytes are no message.
    #[track_caller]
    pub fn read(mut read: impl FnMut(usize) -> Vec<u8>) -> Self {
        let kind = char::from(read(1)[0]);
        let mut message = Self {
            kind,
            id: Vec::new(),
            name: String::new(),
            number: 0,
            payload: Vec::new(),
        };
        if "rspRSEe".contains(kind) {
            message.id = read(4);
        }
        if "rsn".contains(kind) {
            let size = hex(&read(3));
            message.name = String::from_utf8(read(size as usize)).expect("UTF-8");
        }
        if "ef".contains(kind) {
            message.number = hex(&read(8));
        }
        match kind {
            'f' => {}
            'h' => drop(read(12)),
            _ if "rspRSEen".contains(kind) => {
                let size = hex(&read(8));
                message.payload = read(size as usize);
            }
            _ => panic!("{kind:?} begins no message"),
        }
        message
    }

    /// The payload as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }
}

#[track_caller]
fn hex(digits: &[u8]) -> u32 {
    let text = std::str::from_utf8(digits).expect("hex digits");
    u32::from_str_radix(text, 16).unwrap_or_else(|_| panic!("{text:?} is not hex"))
}

/// A single request.
pub fn single(id: &[u8; 4], operation: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    request(b'r', id, operation, payload.as_ref())
}

/// The beginning of a request whose payload is a stream.
pub fn stream(id: &[u8; 4], operation: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    request(b's', id, operation, payload.as_ref())
}

fn request(kind: u8, id: &[u8; 4], operation: &str, payload: &[u8]) -> Vec<u8> {
    let name = format!("{:03x}{operation}{:08x}", operation.len(), payload.len());
    [&[kind], &id[..], name.as_bytes(), payload].concat()
}
