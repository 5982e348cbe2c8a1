//! Scripts that mean harm.

use super::*;

const TIGHT: ScriptLimits = ScriptLimits {
    memory_bytes_max: 16 * 1024 * 1024,
    time_max: Duration::from_millis(50),
    count_max: 10,
    bytes_max: 1024,
};

const TOO_LONG: &str = "-ERR script ran for more than 0.05 s, and was ended; what it had changed stays";

#[test]
fn what_runs_for_too_long_is_ended() {
    for source in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local function f() while true do pcall(f) end end f()",
        "local c = coroutine.wrap(function() while true do end end) c()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "while true do pcall(redis.call, 'ping') end",
        "while true do local s = ('x'):rep(1000000) end",
        "while true do collectgarbage() end",
        "return string.find(('a'):rep(100000), '.-.-.-.-b')",
        "return string.match(('a'):rep(100000), '(.*)*%1.-.-b')",
        "for _ in string.gmatch(('a'):rep(100000), '.-.-.-b') do end",
        "return string.gsub(('a'):rep(100000), '.-.-.-b', '')",
        "return string.find(('a'):rep(1000000), ('a'):rep(500000) .. 'b', 1, true)",
        "local t = {} for i = 1, 100000 do t[i] = i % 7 end while true do table.sort(t) end",
        "while true do loadstring('return 1') end",
        "return setmetatable({}, {__index = function(t, k) return t[k] end}).x, (function() while true do end end)()",
    ] {
        let began = Instant::now();
        let text = run_with(TIGHT, source);
        assert!(text == TOO_LONG || text.starts_with("-ERR"), "{source}: {text}");
        assert!(began.elapsed() < Duration::from_secs(20), "{source}");
    }
    assert_eq!(run_with(TIGHT, "while true do end"), TOO_LONG);
    assert_eq!(
        run_with(TIGHT, "while true do pcall(function() while true do end end) end"),
        TOO_LONG
    );
}

#[test]
fn what_needs_too_much_memory_is_ended() {
    let limits = ScriptLimits {
        time_max: Duration::from_secs(20),
        ..TIGHT
    };
    for source in [
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "local s = 'x' while true do s = s .. s end",
        "return ('x'):rep(1e9)",
        "return ('x'):rep(1e300)",
        "return ('xx'):rep(2^62)",
        "local s = ('x'):rep(1e7) return s:gsub('x', s)",
        "local t = {} for i = 1, 1e9 do t[i] = {} end",
        "table.insert({}, -2^30, 1)",
        "local s = ('x'):rep(1e6) local t = {} for i = 1, 100 do t[i] = s end return table.concat(t)",
        "local t = {1} for i = 1, 60 do t = {t, t} end return cjson.encode(t)",
        "local t = {('x'):rep(1000)} for i = 1, 16 do t = {t, t, t, t, t, t} end return t",
        "return cjson.decode('[' .. ('[1],'):rep(1e6) .. '1]')",
    ] {
        let text = run_with(limits, source);
        assert!(text.starts_with("-ERR"), "{source}: {text}");
    }
}

#[test]
fn what_goes_too_deep_is_ended() {
    for source in [
        "local function f() return 1 + f() end return f()",
        "local function f() pcall(f) error('x') end return f()",
        "local function f(x) return (x:gsub('a', f)) end return f('a')",
        "local t = {} t[1] = t return t",
        "local t = {} t[1] = t return cjson.encode(t)",
        "local t = {} for i = 1, 200000 do t = {t} end return t",
        "return string.find(('a'):rep(300000), ('a?'):rep(300000) .. 'b')",
        "return string.find(('a'):rep(300000), ('('):rep(300000))",
        "return string.find(('('):rep(300000), ('%b()'):rep(300000))",
        "return loadstring('return ' .. ('('):rep(100000) .. ('1') .. (')'):rep(100000))()",
        "return cjson.decode(('['):rep(1001) .. (']'):rep(1001))",
        "local t = setmetatable({}, {}) getmetatable(t).__index = t return t.x",
        "local t = setmetatable({}, {__tostring = function(t) return tostring(t) end}) return tostring(t)",
        "local c c = function() coroutine.wrap(c)() end c()",
    ] {
        let text = run_with(ScriptLimits::default(), source);
        assert!(text.starts_with("-ERR"), "{source}: {text}");
    }
}

#[test]
fn lua_is_still_there_afterwards() {
    let scripts = Scripts::new(TIGHT);
    for source in [
        "while true do end",
        "local function f() return 1 + f() end f()",
        "local s = 'x' while true do s = s .. s end",
        "return 1",
    ] {
        let script = scripts.of_source(&Bytes::from_static(source.as_bytes())).unwrap();
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
        assert_eq!(outcome.is_ok(), source == "return 1", "{source}");
    }
}
