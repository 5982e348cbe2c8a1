use std::{
    io::{self, Write},
    sync::{Arc, Mutex, PoisonError},
};

use super::{check_level, subscriber};
use crate::config::{resolve::Log, values::LogFormat};

#[derive(Clone, Default)]
struct Sheet(Arc<Mutex<Vec<u8>>>);

impl Sheet {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: &str, target: bool, colour: bool) -> String {
    let sheet = Sheet::default();
    let writer = sheet.clone();
    let log = Log {
        format,
        level: level.to_owned(),
        target,
    };
    let subscriber = subscriber(&log, colour, move || writer.clone()).expect("a good level");
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(door = "gotalk", "listening");
        tracing::debug!("detail");
    });
    sheet.text()
}

#[test]
fn text_is_plain_unless_coloured() {
    let plain = logged(LogFormat::Text, "info", false, false);
    assert!(plain.contains("INFO listening door=\"gotalk\""), "{plain}");
    assert!(!plain.contains("detail") && !plain.contains('\u{1b}'), "{plain}");
    assert!(logged(LogFormat::Text, "info", false, true).contains('\u{1b}'));
    assert!(logged(LogFormat::Text, "info", true, false).contains("switchboard_server::logging"));
}

#[test]
fn json_is_one_object_a_line() {
    let lines = logged(LogFormat::Json, "debug", true, true);
    let events: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["message"], "listening");
    assert_eq!(events[0]["door"], "gotalk");
    assert_eq!(events[0]["level"], "INFO");
    assert_eq!(events[1]["level"], "DEBUG");
}

#[test]
fn levels_are_checked() {
    for good in [
        "info",
        "OFF",
        "warn,switchboard_hub=debug",
        "switchboard_server::logging=trace",
        "info, a=warn",
    ] {
        assert!(check_level(good).is_ok(), "{good}");
    }
    for bad in ["", "inof", "info,", "hub=loud", "info;debug"] {
        let error = check_level(bad).expect_err(bad).to_string();
        assert!(error.contains("is no level"), "{bad}: {error}");
    }
}
