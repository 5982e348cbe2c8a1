//! Scripts on the test bed: what they see, what they give back, and where they end.

use std::time::{Duration, Instant};

use bytes::Bytes;
use switchboard_hub::keys::{Cells, Timestamp};

use super::*;
use crate::call::Effects;
use crate::reply::{Protocol, Reply};
use crate::testing::{Bed, shown};
use crate::words::WordSlice;

mod limits;
mod long;

/// Runs a script without keys; tells its answer.
fn eval(source: &str) -> String {
    Bed::new().run_args(eval_args(source))
}

fn eval_args(source: &str) -> crate::args::Args {
    let source = Bytes::copy_from_slice(source.as_bytes());
    [Bytes::from_static(b"EVAL"), source, Bytes::from_static(b"0")]
        .into_iter()
        .collect()
}

/// The error without what says where it is.
fn error(source: &str) -> String {
    let text = eval(source);
    match text.split_once(" script: ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[test]
fn values_become_answers() {
    for (source, answer) in [
        ("return 1", "1"),
        ("return 3.99", "3"),
        ("return -3.99", "-3"),
        ("return 1e300", "-9223372036854775808"),
        ("return 0/0", "-9223372036854775808"),
        ("return 'a\\0b'", "\"a\\x00b\""),
        ("return true", "1"),
        ("return false", "nil"),
        ("return nil", "nil"),
        ("return", "nil"),
        (
            "return {1, 2.9, 'x', true, false, {}, nil, 4}",
            "[1, 2, \"x\", 1, nil, []]",
        ),
        ("return {a = 1}", "[]"),
        ("return {ok = 'fine'}", "fine"),
        ("return {err = 'NO way'}", "-NO way"),
        ("return {err = '-NO way'}", "-NO way"),
        ("return redis.status_reply('s')", "s"),
        ("return redis.error_reply('E x')", "-E x"),
        ("return redis.error_reply('-E x')", "-E x"),
        (
            "return redis.error_reply()",
            "-ERR wrong number or type of arguments",
        ),
        ("return cjson.null", "nil"),
        ("return 1, 2", "1"),
        ("return function() end", "nil"),
    ] {
        assert_eq!(eval(source), answer, "{source}");
    }
}

#[test]
fn answers_become_values() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        SET a 5 -> OK
        SADD s x -> 1
        EVAL "return redis.call('GET', 'a') + 1" 0 -> 6
        EVAL "return type(redis.call('GET', KEYS[1]))" 1 none -> "boolean"
        EVAL "return redis.call('SET', 'b', 1.5)" 0 -> OK
        EVAL "return redis.call('SET', 'b', 1.5).ok" 0 -> "OK"
        EVAL "return redis.call('MGET', 'a', 'none', 'b')" 0 -> ["5", nil, "1.5"]
        EVAL "return type(redis.call('INCR', 'a'))" 0 -> "number"
        EVAL "return redis.call('SMEMBERS', 's')" 0 -> ["x"]
        EVAL "return redis.pcall('INCR', 's').err" 0 -> "WRONGTYPE Operation against a key holding the wrong kind of value"
        EVAL "return redis.pcall('INCR', 's')" 0 -> -WRONGTYPE Operation against a key holding the wrong kind of value
        EVAL "return {KEYS[1], ARGV[1], ARGV[2], #KEYS, #ARGV}" 1 k x y -> ["k", "x", "y", 1, 2]
        EVAL "redis.call('set', KEYS[1], 0.1) return redis.call('get', KEYS[1])" 1 n -> "0.10000000000000001"
        EVAL "return redis.call('blpop', 'none', 0)" 0 -> nil
        EVAL "return redis.call('ping')" 0 -> PONG
        EVAL "return redis.call('echo', 'x')" 0 -> "x"
        EVAL "return redis.call('time')" 0 -> ["1700000000", "0"]
        GET a -> "6"
        "#,
    );
}

#[test]
fn numbers_of_keys_are_checked() {
    Bed::new().check(
        r#"
        EVAL "return 1" a -> -ERR value is not an integer or out of range
        EVAL "return 1" -1 -> -ERR Number of keys can't be negative
        EVAL "return 1" 3 a -> -ERR Number of keys can't be greater than number of args
        EVAL "return 1" -> -ERR wrong number of arguments for 'eval' command
        "#,
    );
}

#[test]
fn errors_are_those_of_redis() {
    for (source, words) in [
        (
            "return x",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'x'",
        ),
        ("x = 1", "-ERR user_script:1: Attempt to modify a readonly table"),
        (
            "KEYS = 1",
            "-ERR user_script:1: Attempt to modify a readonly table",
        ),
        (
            "string.x = 1",
            "-ERR user_script:1: Attempt to modify a readonly table",
        ),
        (
            "redis.call = nil",
            "-ERR user_script:1: Attempt to modify a readonly table",
        ),
        ("rawset(_G, 'x', 1)", "-ERR Attempt to modify a readonly table"),
        (
            "return redis.call('nope')",
            "-ERR Unknown Redis command called from script",
        ),
        (
            "return redis.call('get')",
            "-ERR Wrong number of args calling Redis command from script",
        ),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this redis lib call",
        ),
        (
            "return redis.call({})",
            "-ERR Lua redis lib command arguments must be strings or integers",
        ),
        (
            "return redis.call('eval', 'return 1', 0)",
            "-ERR This Redis command is not allowed from script",
        ),
        (
            "return redis.call('hello')",
            "-ERR This Redis command is not allowed from script",
        ),
        ("error('boom')", "-ERR user_script:1: boom"),
        ("error('boom', 0)", "-ERR boom"),
        ("error({err = 'My boom'})", "-My boom"),
        ("error()", "-ERR nil"),
        ("error({})", "-ERR the script ended with an error that is a table"),
        (
            "local t = nil\nreturn t.x",
            "-ERR user_script:2: attempt to index local 't' (a nil value)",
        ),
        ("return redis.setresp(4)", "-ERR RESP version must be 2 or 3."),
        (
            "return redis.setresp()",
            "-ERR redis.setresp() requires one argument.",
        ),
        ("redis.log(1)", "-ERR redis.log() requires two arguments or more."),
        ("redis.log(9, 'x')", "-ERR Invalid debug level."),
        (
            "redis.log('a', 'x')",
            "-ERR First argument must be a number (log level).",
        ),
        ("return redis.sha1hex()", "-ERR wrong number of arguments"),
        (
            "x x",
            "-ERR Error compiling script (new function): user_script:1: '=' expected near 'x'",
        ),
        (
            "return io.open('/etc/passwd')",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'io'",
        ),
        (
            "return os.time()",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'os'",
        ),
        (
            "return require('x')",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'require'",
        ),
        (
            "return dofile('x')",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'dofile'",
        ),
        (
            "return loadfile('x')",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'loadfile'",
        ),
        (
            "return print('x')",
            "-ERR user_script:1: Script attempted to access nonexistent global variable 'print'",
        ),
    ] {
        assert_eq!(error(source), words, "{source}");
    }
    let digest = "f01f0776df71cc5b400c2268135aa7f30dce2e53";
    assert_eq!(
        eval("return redis.call('nope')"),
        format!("-ERR Unknown Redis command called from script script: {digest}, on @user_script:1.")
    );
    let text = eval("\n\nlocal function f() error('m', 2) end\nf()\n");
    assert!(
        text.starts_with("-ERR user_script:4: m script: ") && text.ends_with("on @user_script:3."),
        "{text}"
    );
}

#[test]
fn errors_are_caught() {
    let mut bed = Bed::new();
    bed.run("SADD s x");
    bed.check(
        r#"
        EVAL "local ok, e = pcall(redis.call, 'incr', 's') return {tostring(ok), type(e), e}" 0 -> ["false", "string", "WRONGTYPE Operation against a key holding the wrong kind of value"]
        EVAL "local ok, e = pcall(error, {err = 'x'}) return e" 0 -> "x"
        EVAL "local ok, e = pcall(error, {1}) return e" 0 -> [1]
        EVAL "local ok, e = pcall(function() error('x') end) return e" 0 -> "user_script:1: x"
        EVAL "local ok, e = pcall(cjson.decode, 'x') return e" 0 -> "Expected value but found invalid token at character 1"
        EVAL "local ok, e = pcall(function() return cjson.decode('x') end) return e" 0 -> "user_script:1: Expected value but found invalid token at character 1"
        EVAL "local ok, e = xpcall(function() return redis.call('incr', 's') end, function(m) return {'h', type(m)} end) return e" 0 -> ["h", "table"]
        EVAL "return {pcall(function(...) return ... end, 1, 2)}" 0 -> [1, 1, 2]
        EVAL "local c = coroutine.create(function() redis.call('incr', 's') end) local ok, e = coroutine.resume(c) return e" 0 -> "WRONGTYPE Operation against a key holding the wrong kind of value"
        EVAL "local c = coroutine.wrap(function() coroutine.yield(redis.call('scard', 's')) end) return c()" 0 -> 1
        "#,
    );
}

#[test]
fn scripts_are_known_by_digest() {
    let mut bed = Bed::new();
    bed.check(
        r#"
        SCRIPT LOAD "return 1" -> "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
        EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 -> 1
        EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0 -> 1
        EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 -> 1
        SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db x -> [1, 0]
        EVALSHA x 0 -> -NOSCRIPT No matching script. Please use EVAL.
        SCRIPT LOAD "x x" -> -ERR Error compiling script (new function): user_script:1: '=' expected near 'x'
        SCRIPT KILL -> -NOTBUSY No scripts in execution right now.
        SCRIPT FLUSH x -> -ERR SCRIPT FLUSH only support SYNC|ASYNC option
        SCRIPT FLUSH -> OK
        EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 -> -NOSCRIPT No matching script. Please use EVAL.
        EVAL "return 1" 0 -> 1
        EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0 -> 1
        SCRIPT FLUSH ASYNC -> OK
        SCRIPT FLUSH sync -> OK
        "#,
    );
}

#[test]
fn read_only_scripts_do_not_write() {
    let mut bed = Bed::new();
    bed.check("SET a 1 -> OK");
    bed.check(r#"EVAL_RO "return redis.call('get', 'a')" 0 -> "1""#);
    let text = bed.run(r#"EVAL_RO "return redis.call('set', 'a', 2)" 0"#);
    assert!(
        text.starts_with("-ERR Write commands are not allowed from read-only scripts. script: "),
        "{text}"
    );
    for (source, answer) in [
        ("#!lua flags=no-writes\nreturn redis.call('get', 'a')", "\"1\""),
        ("#!lua\nreturn redis.call('set', 'a', 1)", "OK"),
        ("#!lua flags=allow-stale,allow-oom\nreturn 1", "1"),
        ("#!lu\nreturn 1", "-ERR Unexpected engine in script shebang: #!lu"),
        (
            "#!lua flags=foo\nreturn 1",
            "-ERR Unexpected flag in script shebang: foo",
        ),
        ("#!lua foo=1\nreturn 1", "-ERR Unknown lua shebang option: foo=1"),
        ("#!lua", "-ERR Invalid script shebang"),
    ] {
        assert_eq!(bed.run_args(eval_args(source)), answer, "{source}");
    }
    let text = bed.run_args(eval_args(
        "#!lua flags=no-writes\nreturn redis.call('set', 'a', 1)",
    ));
    assert!(text.ends_with("on @user_script:2."), "{text}");
}

#[test]
fn effects_are_those_of_the_commands() {
    let mut bed = Bed::new();
    bed.check(r#"EVAL "redis.call('set', 'a', 1) redis.call('sadd', 'b', 1) redis.call('del', 'a') return 0" 0 -> 0"#);
    assert_eq!(bed.events(), ["set a", "sadd b", "del a"]);
    bed.check(r#"EVAL "return redis.call('publish', 'c', 'm')" 0 -> 0"#);
    assert_eq!(bed.published(), ["c m"]);
}

#[test]
fn runs_do_not_see_each_other() {
    let mut bed = Bed::new();
    for source in [
        "rawset(string, 'leak', 1) return 1",
        "table.insert(redis, 'leak') return 1",
        "string.rep = nil",
        "getmetatable('').__index = nil",
        "setmetatable(_G, nil)",
        "setmetatable(string, {})",
        "debug.getregistry()",
        "getfenv(0)",
        "redis.leak = 1",
        "math.randomseed(7) return 1",
        "coroutine.leak = 1",
    ] {
        bed.run_args(eval_args(source));
        for (check, answer) in [
            ("return ('x'):rep(2)", "\"xx\""),
            ("return rawget(string, 'leak')", "nil"),
            ("return rawget(redis, 1)", "nil"),
            ("return tostring(math.random())", "\"0.39646477363839\""),
        ] {
            assert_eq!(bed.run_args(eval_args(check)), answer, "{source}");
        }
    }
}

#[test]
fn random_numbers_are_those_of_redis() {
    assert_eq!(
        eval("return math.random()..' '..math.random(100)..' '..math.random(5,10)"),
        "\"0.39646477363839 85 7\""
    );
    assert_eq!(
        eval("math.randomseed(5) return math.random()..' '..math.random(100)..' '..math.random(5,10)"),
        "\"0.52483957937213 28 9\""
    );
    assert_eq!(
        error("return math.random(0)"),
        "-ERR user_script:1: bad argument #1 to 'random' (interval is empty)"
    );
}

#[test]
fn a_lock_is_taken_extended_and_released() {
    let release = "local token = redis.call('get', KEYS[1]) if not token or token ~= ARGV[1] then return 0 end \
                   redis.call('del', KEYS[1]) return 1";
    let extend = "local token = redis.call('get', KEYS[1]) if not token or token ~= ARGV[1] then return 0 end \
                  local left = redis.call('pttl', KEYS[1]) if not left then left = 0 end if left < 0 then return 0 end \
                  redis.call('pexpire', KEYS[1], left + ARGV[2]) return 1";
    let mut bed = Bed::new();
    let [release, extend] = [release, extend].map(|source| {
        let digest = bed.run(&format!("SCRIPT LOAD \"{source}\""));
        digest.trim_matches('"').to_owned()
    });
    bed.check(&format!(
        "
        SET lock me NX PX 1000 -> OK
        EVALSHA {extend} 1 lock you 500 -> 0
        EVALSHA {extend} 1 lock me 500 -> 1
        PTTL lock -> 1500
        EVALSHA {release} 1 lock you -> 0
        EVALSHA {release} 1 lock me -> 1
        EVALSHA {release} 1 lock me -> 0
        GET lock -> nil
        "
    ));
}

#[test]
fn the_language_is_there() {
    for (source, answer) in [
        ("return {unpack({1, 2, 3}, 2)}", "[2, 3]"),
        ("return select('#', 1, 2, 3)", "3"),
        ("return tostring(12) .. tonumber('0x10')", "\"1216\""),
        ("return loadstring('return 1 + 1')()", "2"),
        ("return load(function() return nil end)()", "nil"),
        (
            "local n = 0 return load(function() n = n + 1 return ({'return ', '7'})[n] end)()",
            "7",
        ),
        (
            "local f, e = loadstring('x x') return e",
            r#""[string \"x x\"]:1: \'=\' expected near \'x\'""#,
        ),
        ("return loadstring('return KEYS')() == KEYS", "1"),
        (
            "local f, e = loadstring(string.dump(function() return 1 end)) return type(f)",
            "\"nil\"",
        ),
        ("local t = {3, 1, 2} table.sort(t) return t", "[1, 2, 3]"),
        (
            "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t",
            "[3, 2, 1]",
        ),
        ("return table.concat({1, 2}, '-')", "\"1-2\""),
        (
            "return string.format('%5.1f|%-3s|%03d|%q|%x', 1.25, 'a', 7, 'q', 255)",
            "\"  1.2|a  |007|\\\"q\\\"|ff\"",
        ),
        ("return _G.KEYS == KEYS and type(_VERSION)", "\"string\""),
        (
            "return redis.sha1hex('a')",
            "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\"",
        ),
        (
            "return {redis.LOG_DEBUG, redis.LOG_WARNING, redis.replicate_commands()}",
            "[0, 3, 1]",
        ),
        (
            "redis.log(redis.LOG_NOTICE, 'x', 1) return redis.setresp(2)",
            "nil",
        ),
        ("return getmetatable({}) == nil", "1"),
        (
            "return setmetatable({}, {__index = function() return 5 end}).x",
            "5",
        ),
        ("return collectgarbage('count') > 0 and collectgarbage()", "0"),
    ] {
        assert_eq!(eval(source), answer, "{source}");
    }
}

#[test]
fn the_cache_is_bounded() {
    let scripts = Scripts::new(ScriptLimits {
        count_max: 2,
        bytes_max: 30,
        ..ScriptLimits::default()
    });
    let load = |source: &'static str| {
        scripts
            .load(&Bytes::from_static(source.as_bytes()))
            .unwrap()
            .hex()
    };
    let (one, two) = (load("return 1"), load("return 2"));
    scripts.of_digest(one.as_bytes()).unwrap();
    let three = load("return 3");
    let known = |digest: &String| scripts.is_known(digest.as_bytes());
    assert!(known(&one) && !known(&two) && known(&three));
    let large = load("return        4     ");
    assert!(known(&large) && !known(&one) && known(&three));
    assert!(!known(&load("return                             5")));
}

/// Runs a script with bounds of its own.
fn run_with(limits: ScriptLimits, source: &str) -> String {
    let scripts = Scripts::new(limits);
    let script = scripts.of_source(source.as_bytes()).unwrap();
    let mut reply = Reply::new(Protocol::Resp2);
    let outcome = scripts.run(Work {
        script: &script,
        keys: WordSlice::default(),
        args: WordSlice::default(),
        is_read_only: false,
        cells: &mut Cells::new(Timestamp::from_millis(0), None),
        effects: &mut Effects::default(),
        reply: &mut reply,
    });
    match outcome {
        Ok(()) => shown(&mut &reply.bytes()[..]),
        Err(refusal) => format!("-{refusal}"),
    }
}
