//! The page as a reader has it: clicks, keys, links, and what is to be seen of them.

use std::fs;
use std::path::Path;

use fanin::Device;
use fanin::device::{Draw, Piece};
use fanin::random::{Distribution, Dtype, Stream};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::browser::{Browser, Page, SOFTWARE, built};

/// The page at an address, on a desk, with what takes the main thread long noted down.
fn page(path: &str) -> Page {
    page_in(SOFTWARE, "", path)
}

/// The same in a browser of these flags, after a script.
fn page_in(flags: &[&str], before: &str, path: &str) -> Page {
    let mut page = Browser::start(flags).blank();
    page.resize(1280, 900);
    page.before_each(&format!(
        "{before};
         globalThis.long = [];
         new PerformanceObserver((list) => long.push(...list.getEntries().map((own) => own.duration)))
           .observe({{ type: 'longtask', buffered: true }});"
    ));
    page.go(path);
    page.wait_for("document.documentElement.classList.contains('ready')");
    page
}

/// The curve of a setting in the first plot, once it is there.
fn curve(page: &mut Page, key: &str) -> String {
    page.wait_for(&format!("document.querySelector('.lead .points.{key}') !== null"));
    text(page, &format!("document.querySelector('.lead .points.{key}').getAttribute('d')"))
}

fn text(page: &mut Page, script: &str) -> String {
    let value = page.evaluate(script);
    value.as_str().unwrap_or_else(|| panic!("{script}: {value}")).to_owned()
}

fn address(page: &mut Page) -> String {
    text(page, "location.hash")
}

/// Waits until an element shows a text.
fn shows(page: &mut Page, selector: &str, part: &str) {
    page.wait_for(&format!(
        "[...document.querySelectorAll({selector:?})].some((own) => own.innerText.includes({part:?}))"
    ));
}

/// How far a race has come, as it stands there.
const WHERE: &str = "document.querySelector('.where').textContent";

/// Waits until a race has come so far, or further: it may pass several epochs between two looks.
fn epoch(page: &mut Page, least: u64) {
    page.wait_for(&format!("Number({WHERE}.match(/epoch (\\d+) of/)?.[1]) >= {least}"));
}

/// Waits until a race can be started.
fn ready(page: &mut Page) {
    page.wait_for("!document.querySelector('button.main').disabled");
}

/// Starts a race, as soon as it can be.
fn start(page: &mut Page) {
    ready(page);
    page.click("button.main");
}

/// Waits until an element's text is this one, to the letter.
fn reads(page: &mut Page, selector: &str, whole: &str) {
    page.wait_for(&format!("document.querySelector({selector:?}).textContent === {whole:?}"));
}

/// Puts a value into an input as a reader does: marks what is there, writes, and goes on.
fn put(page: &mut Page, selector: &str, value: &str) {
    page.evaluate(&format!(
        "(() => {{ const own = document.querySelector({selector:?}); own.focus(); own.select(); }})()"
    ));
    page.type_text(value);
    page.press("Tab");
}

/// The input that a label of a card names.
fn input(key: &str, label: &str) -> String {
    format!(
        "[...document.querySelectorAll('.card.{key} label')].find((own) => own.textContent === {label:?}).control"
    )
}

#[test]
fn a_slider_moves_the_curve_and_the_address() {
    let mut page = page("#vanish?a.depth=32&b.depth=32");
    shows(&mut page, ".verdict.a", "Healthy");
    shows(&mut page, ".verdict.b", "Vanishing");
    shows(&mut page, ".card.a .scaling", "Healthy from × 0.9");
    let before = curve(&mut page, "a");
    let others = curve(&mut page, "b");
    page.evaluate("document.querySelector('.card.a input.scale').focus()");
    for _ in 0..8 {
        page.press("ArrowLeft");
    }
    shows(&mut page, ".verdict.a", "Vanishing");
    assert_ne!(curve(&mut page, "a"), before);
    // A has half its weights now, so a quarter of He's variance: 2 / 4.
    let written = text(&mut page, &format!("{}.value", input("a", "As it is written")));
    assert_eq!(written, "variance_scaling:scale=0.5,mode=fan_in,distribution=normal");
    page.wait_for("location.hash.includes('a.scale=0.5')");
    shows(&mut page, ".panel .command", "scale=0.5");
    // Four times the variance of B's fits its ReLU better than Xavier's does: both were drawn anew.
    page.evaluate("document.querySelector('.card.b input.scale').focus()");
    for _ in 0..4 {
        page.press("ArrowRight");
    }
    shows(&mut page, ".verdict.b", "Healthy");
    assert_ne!(curve(&mut page, "b"), others);
    page.close();
}

#[test]
fn advice_makes_it_healthy_and_back_undoes_it() {
    let mut page = page("#vanish?a.init=normal:0.01&a.depth=32&b=off");
    shows(&mut page, ".verdict.a", "Vanishing");
    shows(&mut page, ".verdict.a button", "Use he_normal");
    assert_eq!(page.evaluate("document.querySelector('.verdict.b').hidden"), true);
    page.click(".verdict.a button");
    shows(&mut page, ".verdict.a", "Healthy");
    assert_eq!(address(&mut page), "#vanish?b=off&a.depth=32");
    page.evaluate("history.back()");
    shows(&mut page, ".verdict.a", "Vanishing");
    assert_eq!(address(&mut page), "#vanish?b=off&a.depth=32&a.init=normal:0.01");
    // Back on, B has its curve again.
    page.click(".card.b input.switch");
    curve(&mut page, "b");
    page.close();
}

#[test]
fn a_link_shows_the_same() {
    let link = "#vanish?seed=7&a.depth=12&a.width=32&a.activation=tanh&a.init=orthogonal&a.scale=1.414\
                &a.bias=normal:0.1&a.residual=on&b.init=uniform:-0.2,0.3&b.norm=on&axis=own";
    let mut page = page(link);
    let first = curve(&mut page, "a");
    page.wait_for("document.querySelector('.verdict.a .kind').textContent !== ''");
    assert_eq!(address(&mut page), link);
    for (key, label, value) in [
        ("a", "Depth", "12"),
        ("a", "Width", "32"),
        ("a", "Activation", "tanh"),
        ("a", "Initializer", "orthogonal"),
        ("a", "Bias", "normal:0.1"),
        ("a", "As it is written", "orthogonal:gain=1.414"),
        ("b", "As it is written", "uniform:-0.2,0.3"),
    ] {
        assert_eq!(
            text(&mut page, &format!("{}.value", input(key, label))),
            value,
            "{key} {label}"
        );
    }
    for (key, label, checked) in
        [("a", "Residual", true), ("a", "Layer norm", false), ("b", "Layer norm", true)]
    {
        assert_eq!(
            page.evaluate(&format!("{}.checked", input(key, label))),
            checked,
            "{key} {label}"
        );
    }
    // The other views keep it; their links are there to be copied.
    page.click("nav a[data-view=bits]");
    page.wait_for("location.hash.startsWith('#bits?seed=7&')");
    shows(&mut page, ".panel", "12 layers of 32, tanh, orthogonal:gain=1.414, residual");
    page.evaluate("history.back()");
    page.wait_for("document.querySelector('main').dataset.view === 'vanish'");
    assert_eq!(address(&mut page), link);
    page.evaluate("document.documentElement.classList.remove('ready'); location.reload()");
    page.wait_for("document.documentElement.classList.contains('ready')");
    assert_eq!(curve(&mut page, "a"), first, "the same numbers, drawn anew");
    page.close();
}

#[test]
fn the_guides_links_show_what_stands_beside_them() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../src/guide");
    let chapters = fs::read_dir(guide).unwrap().map(|entry| entry.unwrap().path());
    let chapters = chapters.filter(|path| path.extension().is_some_and(|own| own == "md"));
    let all: String = chapters.map(|path| fs::read_to_string(path).unwrap()).collect();
    let links = all.split("(http://127.0.0.1:8000/").skip(1).map(|rest| rest.split(')').next());
    let links: Vec<&str> = links.flatten().collect();
    assert!(links.len() >= 5, "{links:?}");
    for link in links {
        let mut page = page(link);
        curve(&mut page, "a");
        curve(&mut page, "b");
        // What is not known, or as usual, is left out of it.
        assert_eq!(address(&mut page), link);
        assert_eq!(page.evaluate("document.querySelectorAll('.notice').length"), 0, "{link}");
        page.close();
    }
}

#[test]
fn nonsense_in_a_link_is_said_and_left_out() {
    let mut page = page(
        "#vanish?a.depth=1e9&a.width=abc&seed=-4&a.init=foo:3&b.activation=tanhh&b.bias=normal:x&data=cats\
         &b.scale=99&b.norm=maybe&%3Cimg%20src=x%3E=1&axis=%FF",
    );
    for said in [
        "Network A, depth: got “1e9”, needed a whole number from 1 to 256; 256 is taken",
        "Network A, width: got “abc”",
        "Seed: got “-4”",
        "Data: got “cats”, known are spirals, rings, moons, digits",
        "Network B, scale: got “99”",
        "Network B, norm: got “maybe”",
        "“<img src” is nothing that this page knows",
        "unknown initializer `foo`; he_normal is taken",
        "unknown nonlinearity `tanhh` (nearest: tanh); relu is taken",
        "initializer `normal:x`",
    ] {
        shows(&mut page, ".notice", said);
    }
    assert_eq!(page.evaluate("document.querySelectorAll('.notice img').length"), 0);
    curve(&mut page, "a");
    curve(&mut page, "b");
    page.click(".notice button");
    assert_eq!(page.evaluate("document.querySelectorAll('.notice').length"), 0);
    page.close();
}

#[test]
fn what_a_link_has_and_the_engine_refuses_is_mended() {
    for (link, said, after) in [
        ("#vanish?b=off&a.depth=256&a.width=1024", "30, 64 are taken", "#vanish?b=off"),
        (
            "#vanish?b=off&a.init=normal:-1&a.bias=constant:0.1",
            "std: got -1",
            "#vanish?b=off&a.bias=constant:0.1",
        ),
        ("#vanish?b=off&a.bias=foo", "Network A: bias: unknown initializer", "#vanish?b=off"),
        ("#train?b=off&a.depth=3&optimizer=nonsense", "optimizer: ", "#train?b=off&a.depth=3"),
        ("#vanish?b=off&a.bias=normal:1e38", "layers.0.bias", "#vanish?b=off"),
    ] {
        let mut page = page(link);
        shows(&mut page, ".notice", said);
        page.wait_for(&format!("location.hash === {after:?}"));
        page.close();
    }
    let many: Vec<String> = (0..500).map(|at| format!("unknown{at}=1")).collect();
    let mut page = page(&format!("#vanish?{}", many.join("&")));
    shows(&mut page, ".notice", "And 488 more.");
    page.close();
}

#[test]
fn the_skip_link_keeps_the_state() {
    let link = "#bits?data=moons&a.depth=5";
    let mut page = page(link);
    page.press("Tab");
    assert_eq!(text(&mut page, "document.activeElement.className"), "skip");
    page.press("Enter");
    page.wait_for("document.activeElement.id === 'main'");
    assert_eq!(address(&mut page), link);
    page.close();
}

#[test]
fn what_the_cpu_makes_as_a_whole_is_not_called_a_gpus() {
    let mut page = page("#bits?bits.init=orthogonal&bits.rows=32&bits.columns=48");
    page.click(".panel:nth-child(1) button.main");
    shows(&mut page, ".panel:nth-child(1) .equal", "Such a tensor is made as a whole");
    shows(&mut page, ".panel:nth-child(1) .result.gpu", "drawn by the CPU");
    page.close();
}

#[test]
fn the_factor_beside_a_verdict_is_of_what_it_speaks_of() {
    let mut page = page("#vanish?b=off&a.activation=sin:30");
    shows(&mut page, ".verdict.a", "Exploding");
    shows(&mut page, ".verdict.a .rate", "the gradient’s variance ×");
    page.close();
}

#[test]
fn numbers_beyond_limits_are_said_beside_their_input() {
    let mut page = page("#vanish?b=off");
    let before = curve(&mut page, "a");
    let depth = text(&mut page, &format!("'#' + {}.id", input("a", "Depth")));
    put(&mut page, &depth, "9999");
    shows(
        &mut page,
        ".card.a .number .note",
        "depth: got “9999”, needed a whole number from 1 to 256",
    );
    page.wait_for(&format!("{}.value === '256'", input("a", "Depth")));
    put(&mut page, &depth, "20");
    reads(&mut page, ".card.a .number .note", "");
    let written = text(&mut page, &format!("'#' + {}.id", input("a", "As it is written")));
    put(&mut page, &written, "normal:much");
    shows(&mut page, ".card.a .text .note", "initializer `normal:much`");
    put(&mut page, &written, "he_normal");
    reads(&mut page, ".card.a .text .note", "");
    assert_ne!(curve(&mut page, "a"), before);
    // Too many weights for a page: the engine says so.
    let width = text(&mut page, &format!("'#' + {}.id", input("a", "Width")));
    put(&mut page, &depth, "256");
    put(&mut page, &width, "1024");
    shows(&mut page, ".card.a .note", "needed at most 16777216");
    page.close();
}

/// Notes down which of the engines' answers are waited for: this hears of one before the page does.
const UNDER_WAY: &str = "globalThis.under = new Map();
     globalThis.most = 0;
     globalThis.Worker = class extends Worker {
       constructor(url, options) {
         super(url, options);
         this.of = options.name;
         this.addEventListener('message', ({ data }) => under.delete(this.of + data.id));
       }
       postMessage(message, ...rest) {
         under.set(this.of + message.id, message.method);
         most = Math.max(most, [...under.values()].filter((own) => own === 'train.advance').length);
         super.postMessage(message, ...rest);
       }
     }";

#[test]
fn a_race_is_paused_stepped_and_begun_anew() {
    // So long that it is not over before it is paused.
    let mut page = page_in(SOFTWARE, UNDER_WAY, "#train?epochs=1000");
    start(&mut page);
    epoch(&mut page, 2);
    page.click("button.main");
    reads(&mut page, "button.main", "Start");
    // What was under way ends, then all rests.
    page.wait_for("under.size === 0");
    let paused = text(&mut page, WHERE);
    page.evaluate("new Promise((on) => setTimeout(on, 300))");
    assert_eq!(text(&mut page, WHERE), paused);
    let count = |text: &str| -> u64 {
        let digits: String = text.rsplit("step ").next().unwrap().replace(',', "");
        digits.trim().parse().unwrap()
    };
    page.click(".transport button:nth-of-type(2)");
    page.wait_for(&format!("{WHERE} !== {paused:?}"));
    let stepped = text(&mut page, WHERE);
    assert_eq!(count(&stepped), count(&paused) + 1);
    page.click("button.main");
    page.wait_for(&format!("{WHERE} !== {stepped:?}"));
    page.click(".transport button:nth-of-type(3)");
    shows(&mut page, ".where", "epoch 0 of 1000, step 0");
    // Another start, and the race begins anew by itself.
    page.click("button.main");
    epoch(&mut page, 1);
    page.evaluate("document.querySelector('.card.b .scale').focus()");
    page.press("ArrowRight");
    shows(&mut page, ".lane.b .built", "xavier_normal:gain=1.09");
    reads(&mut page, "button.main", "Pause");
    page.close();
}

#[test]
fn of_two_networks_one_learns() {
    let mut page = page("#train");
    start(&mut page);
    shows(&mut page, ".lane.a .outcome", "Learned");
    shows(&mut page, ".lane.b .outcome", "Stuck: the gradient vanishes on its way down");
    let right =
        |key: &str| format!("parseFloat(document.querySelector('.lane.{key} .right').textContent)");
    assert!(page.evaluate(&right("a")).as_f64().unwrap() > 90.0);
    assert!(page.evaluate(&right("b")).as_f64().unwrap() < 45.0);
    // One has three countries on its map, the other has one.
    let lands = |key: &str| {
        format!(
            "(() => {{
                const own = document.querySelector('.lane.{key} canvas');
                const at = (x, y) => [...own.getContext('2d').getImageData(x, y, 1, 1).data].join();
                const all = new Set();
                for (let x = 1; x < own.width; x += 3) all.add(at(x, 2));
                for (let y = 1; y < own.height; y += 3) all.add(at(2, y));
                return all.size;
            }})()"
        )
    };
    let (learned, stuck) = (page.evaluate(&lands("a")), page.evaluate(&lands("b")));
    assert!(learned.as_u64() > Some(20) && stuck.as_u64() < Some(5), "{learned} {stuck}");
    // In B's first layers is nothing of the gradient that is in its last.
    page.evaluate("document.querySelectorAll('.rest .plot')[1].focus()");
    page.press("Home");
    shows(&mut page, ".rest .chart:nth-child(2) .reading", "Layer 1: A ");
    shows(&mut page, ".rest .chart:nth-child(2) .reading", "× 10⁻⁸");
    page.close();
}

#[test]
fn a_tab_in_the_background_pauses_and_says_so() {
    let mut page = page("#train?a.depth=4&b=off&epochs=1000");
    start(&mut page);
    shows(&mut page, "button.main", "Pause");
    page.evaluate(
        "Object.defineProperty(document, 'hidden', { configurable: true, value: true });
         document.dispatchEvent(new Event('visibilitychange'))",
    );
    shows(&mut page, ".race .note", "Paused, since this tab went to the background");
    shows(&mut page, "button.main", "Start");
    page.evaluate("delete document.hidden");
    page.click("button.main");
    shows(&mut page, "button.main", "Pause");
    // As does another view.
    page.click("nav a[data-view=vanish]");
    page.click("nav a[data-view=train]");
    shows(&mut page, ".race .note", "Paused, since another view was shown");
    page.close();
}

#[test]
fn a_race_that_is_about_to_begin_anew_waits_where_it_is_not_seen() {
    for wait in [0, 230] {
        let mut page = page("#train?a.depth=4&b=off&epochs=1000");
        start(&mut page);
        page.wait_for(&format!("{WHERE}.match(/step (.*)/)[1] !== '0'"));
        page.evaluate(&format!(
            "(async () => {{
                document.querySelector('[name=data][value=moons]').click();
                await new Promise((on) => setTimeout(on, {wait}));
                document.querySelector('nav a[data-view=vanish]').click();
                await new Promise((on) => setTimeout(on, 1000));
                document.querySelector('nav a[data-view=train]').click();
            }})()"
        ));
        shows(&mut page, ".race > .note", "Paused, since another view was shown");
        shows(&mut page, "button.main", "Start");
        ready(&mut page);
        let mut step = || {
            page.evaluate("new Promise((on) => setTimeout(on, 300))");
            text(&mut page, WHERE)
        };
        assert_eq!(step(), step());
        page.click("button.main");
        epoch(&mut page, 1);
        page.close();
    }
}

#[test]
fn a_race_goes_on_through_changes_that_follow_each_other() {
    let mut page = page("#train?a.depth=4&b.depth=4&epochs=1000");
    start(&mut page);
    // Before a race is ready, while its pictures are made, and after.
    for wait in [100, 220, 260, 300, 350, 400] {
        page.evaluate(&format!(
            "(async () => {{
                document.querySelector('[name=data][value=moons]').click();
                await new Promise((on) => setTimeout(on, {wait}));
                document.querySelector('[name=data][value=rings]').click();
            }})()"
        ));
        page.wait_for("document.querySelector('button.main').disabled === false");
        shows(&mut page, "button.main", "Pause");
    }
    epoch(&mut page, 1);
    page.close();
}

#[test]
fn a_race_is_judged_however_it_comes_to_its_end() {
    let link = "#train?batch=600&epochs=1&a.depth=3&b.depth=3";
    let mut page = page(link);
    ready(&mut page);
    page.click(".transport button:nth-of-type(2)");
    shows(&mut page, ".where", "epoch 0 of 1, step 1");
    shows(&mut page, "button.main", "Start");
    page.click(".transport button:nth-of-type(2)");
    shows(&mut page, ".where", "epoch 1 of 1, step 2");
    shows(&mut page, ".lane.a .outcome", "Learning");
    shows(&mut page, ".lane.b .outcome", "Learning");
    shows(&mut page, "button.main", "Start anew");
    // On its last steps it is paused, and left.
    page.click(".transport button:nth-of-type(3)");
    reads(&mut page, "button.main", "Start");
    ready(&mut page);
    page.evaluate(
        "document.querySelector('button.main').click();
         document.querySelector('nav a[data-view=vanish]').click();
         document.querySelector('nav a[data-view=train]').click()",
    );
    shows(&mut page, ".lane.a .outcome", "Learning");
    shows(&mut page, "button.main", "Start anew");
    assert_eq!(text(&mut page, "document.querySelector('.race > .note').textContent"), "");
    page.close();
}

#[test]
fn a_race_that_is_paused_and_started_often_is_advanced_by_one_loop() {
    let mut page = page_in(SOFTWARE, UNDER_WAY, "#train?a.depth=3&b.depth=3&epochs=1000");
    ready(&mut page);
    page.evaluate(
        "(async () => {
            for (let at = 0; at < 41; at++) {
              document.querySelector('button.main').click();
              await new Promise((on) => setTimeout(on, 2));
            }
        })()",
    );
    // An odd number of clicks: it runs.
    shows(&mut page, "button.main", "Pause");
    epoch(&mut page, 1);
    assert_eq!(page.evaluate("most"), 1);
    page.close();
}

#[test]
fn what_no_race_can_have_is_said_beside_its_number() {
    let mut page = page("#train?data=moons&a.depth=1&b.depth=3&epochs=2");
    let depth = |key: &str| {
        format!("{}.closest('.field').querySelector('.note').textContent", input(key, "Depth"))
    };
    let refused = format!("{} === 'depth: got 1, needed 2 or more to train'", depth("a"));
    page.wait_for(&refused);
    assert_eq!(text(&mut page, &depth("b")), "");
    // Nor does anything speak of digits.
    let guesses =
        "[...document.querySelectorAll('.lane .guess')].map((own) => own.checkVisibility())";
    assert_eq!(page.evaluate(guesses), json!([false, false]));
    // The probe has nothing against it.
    page.click("nav a[data-view=vanish]");
    assert_eq!(text(&mut page, &depth("a")), "");
    page.click("nav a[data-view=train]");
    page.wait_for(&refused);
    let id = text(&mut page, &format!("'#' + {}.id", input("a", "Depth")));
    put(&mut page, &id, "3");
    ready(&mut page);
    assert_eq!(text(&mut page, &depth("a")), "");
    let batch = text(
        &mut page,
        "'#' + [...document.querySelectorAll('label')].find((own) => own.textContent === 'Batch').control.id",
    );
    put(&mut page, &batch, "1024");
    shows(
        &mut page,
        ".trio .number .note",
        "batch: got 1024 rows, needed at most the training set's 800 rows",
    );
    put(&mut page, &batch, "64");
    start(&mut page);
    shows(&mut page, ".lane.a .outcome", "Learn");
    page.close();
}

#[test]
fn a_race_that_takes_long_to_begin_says_so() {
    let mut page = page("#train?a.depth=12&a.width=768&b=off&epochs=1&data=moons");
    start(&mut page);
    shows(&mut page, ".race > .note", "Getting ready…");
    page.wait_for(&format!("!{WHERE}.endsWith('step 0')"));
    assert_eq!(text(&mut page, "document.querySelector('.race > .note').textContent"), "");
    page.close();
}

#[test]
fn digits_are_drawn_by_hand_and_recognized() {
    let mut page = page(
        "#train?data=digits&a.depth=3&b.depth=3&b.init=zeros&optimizer=adam&rate=0.003&batch=64&epochs=12",
    );
    start(&mut page);
    shows(&mut page, ".lane.a .outcome", "Learned");
    // A one: its flag, its stem, its foot.
    let side = page.evaluate("document.querySelector('.pad').clientWidth").as_f64().unwrap() / 8.0;
    for stroke in [&[(2.9, 1.9), (4.0, 1.0), (4.0, 6.5)][..], &[(2.8, 6.9), (5.2, 6.9)]] {
        let points: Vec<(f64, f64)> = stroke.iter().map(|(x, y)| (x * side, y * side)).collect();
        page.drag(".pad", &points);
    }
    shows(&mut page, ".lane.a .says", "Takes it for a 1");
    // All weights 0: every digit is as likely as any.
    let guess = page.evaluate("[...document.querySelectorAll('.lane.b .share')].map((own) => parseFloat(own.textContent))");
    let shares = guess.as_array().unwrap().iter().map(|own| own.as_f64().unwrap());
    assert!(
        shares.clone().count() == 10 && shares.clone().all(|own| (5.0..15.0).contains(&own)),
        "{guess}"
    );
    page.click(".drawing button:nth-of-type(1)");
    shows(&mut page, ".lane.a .says", "Draw, and it says");
    // A seven, by the keyboard alone: its bar, then down.
    page.evaluate("document.querySelector('.pad').focus()");
    for key in ["ArrowLeft", " ", "ArrowRight", " ", "ArrowRight", " ", "ArrowRight", " "] {
        page.press(key);
    }
    for key in [
        "ArrowDown",
        " ",
        "ArrowLeft",
        "ArrowDown",
        " ",
        "ArrowDown",
        " ",
        "ArrowLeft",
        "ArrowDown",
        " ",
    ] {
        page.press(key);
    }
    for key in ["ArrowDown", " "] {
        page.press(key);
    }
    shows(&mut page, ".lane.a .says", "Takes it for a 7");
    page.click(".drawing button:nth-of-type(2)");
    let inked = page.evaluate("[...document.querySelectorAll('.pad i')].filter((own) => own.style.getPropertyValue('--ink') > 0.3).length");
    assert!(inked.as_u64() > Some(6), "{inked}");
    page.close();
}

#[test]
fn both_devices_draw_and_train_the_same_bits() {
    let mut page = page(
        "#bits?bits.init=truncated_normal:0.02&bits.rows=512&bits.columns=999&bits.name=h.0.w&seed=3\
         &a.depth=2&a.width=16&data=moons&epochs=1&batch=64",
    );
    shows(&mut page, ".device.gpu", "swiftshader");
    shows(&mut page, ".device.gpu", "software");
    page.click(".panel:nth-child(1) button.main");
    shows(
        &mut page,
        ".panel:nth-child(1) .equal",
        "Equal: all 511,488 weights have the same bits on both.",
    );
    let distribution = Distribution::TruncatedNormal { mean: 0.0, std: 0.02, cut: 2.0 };
    let piece = Piece {
        stream: Stream::named(3, "h.0.w"),
        distribution,
        dtype: Dtype::F32,
        slice: None,
        first: 0,
        count: 512 * 999,
    };
    let mut digest = Sha256::new();
    let mut sink = |_: usize, bytes: &[u8], _| {
        digest.update(bytes);
        Ok(())
    };
    Device::Cpu.in_chunks(None).draw(&[piece], &mut sink).unwrap();
    let native: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    for device in ["cpu", "gpu"] {
        let shown = format!(
            "document.querySelector('.panel:nth-child(1) .result.{device} .digest').textContent"
        );
        assert_eq!(text(&mut page, &shown), native, "{device}");
    }
    // What stands there is of other settings as soon as these change.
    put(&mut page, "#bits-seed, .panel:nth-child(1) .field:nth-child(6) input", "4");
    reads(&mut page, ".panel:nth-child(1) .equal", "");
    page.click(".panel:nth-child(3) button.main");
    shows(
        &mut page,
        ".panel:nth-child(3) .equal",
        "Equal: all trained weights have the same bits on both.",
    );
    shows(&mut page, ".panel:nth-child(3) .command", "--exact");
    page.click(".panel:nth-child(4) button.main");
    shows(&mut page, ".panel:nth-child(4) .equal", "checks hold on this CPU, 0 fail");
    let rows = page.evaluate("document.querySelectorAll('.panel:nth-child(4) tbody tr').length");
    assert!(rows.as_u64() > Some(50), "{rows}");
    page.close();
}

#[test]
fn what_takes_long_can_be_stopped() {
    let mut page = page("#bits?bits.rows=16384&bits.columns=16384");
    shows(&mut page, ".device.gpu", "swiftshader");
    page.click(".panel:nth-child(1) button.main");
    page.wait_for("[...document.querySelectorAll('.panel:nth-child(1) progress')].some((own) => own.value > 0)");
    page.click(".panel:nth-child(1) button.main");
    shows(&mut page, ".panel:nth-child(1) .note", "Stopped.");
    shows(&mut page, ".panel:nth-child(1) button.main", "Draw on both");
    // And begun again.
    put(&mut page, ".panel:nth-child(1) .field:nth-child(2) input", "100");
    page.click(".panel:nth-child(1) button.main");
    shows(&mut page, ".panel:nth-child(1) .equal", "Equal: all 1,638,400 weights");
    page.close();
}

#[test]
fn what_a_browser_lacks_is_said_and_the_rest_goes_on() {
    let lacks = [
        (&["--disable-features=WebGPU", "--disable-gpu"][..], "", "GPU: none. "),
        (
            SOFTWARE,
            "delete WebAssembly.Suspending; delete WebAssembly.promising",
            "GPU: none. This browser lacks JavaScript Promise Integration",
        ),
    ];
    for (flags, before, said) in lacks {
        let mut page = page_in(flags, before, "#bits?bits.rows=100&bits.columns=100");
        shows(&mut page, ".device.gpu", said);
        shows(&mut page, ".device.gpu", "The CPU does all of it.");
        page.click(".panel:nth-child(1) button.main");
        shows(&mut page, ".panel:nth-child(1) .equal", "There is one device to compare here.");
        shows(&mut page, ".panel:nth-child(1) .result.gpu", "not here");
        page.close();
    }
    let mut page = page_in(lacks[0].0, "", "#train?a.depth=3&b=off&device=gpu");
    shows(&mut page, ".race .note", "The race is on the CPU now.");
    start(&mut page);
    epoch(&mut page, 3);
    page.close();
}

/// Puts the focus before all that has one: the next Tab comes to the first.
fn top(page: &mut Page) {
    page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')");
}

/// Everything that a keyboard can come to in a view, by its name, in order.
fn stops(page: &mut Page) -> Vec<String> {
    top(page);
    let mut found = Vec::new();
    loop {
        page.press("Tab");
        let stop = page.evaluate(
            "(() => {
                const own = document.activeElement;
                if (own === document.body) return null;
                const named = own.getAttribute('aria-labelledby');
                const name = own.getAttribute('aria-label') || (named && document.getElementById(named).textContent)
                  || own.labels?.[0]?.textContent || own.textContent;
                const { outlineStyle, outlineWidth } = getComputedStyle(own);
                const box = own.getBoundingClientRect();
                const seen = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
                const ringed = outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1;
                return [name.trim(), seen, ringed];
            })()",
        );
        if stop.is_null() || found.len() > 90 {
            return found;
        }
        let name = stop[0].as_str().unwrap().to_owned();
        assert!(!name.is_empty(), "after {found:?} comes something without a name");
        assert_eq!(
            (&stop[1], &stop[2]),
            (&json!(true), &json!(true)),
            "{name} is not to be seen with the focus"
        );
        found.push(name);
    }
}

#[test]
fn a_keyboard_alone_does_it_all() {
    let mut page = page("#vanish?a.init=normal:0.01&a.depth=16&b.depth=16&epochs=1000");
    shows(&mut page, ".verdict.a button", "Use he_normal");
    let found = stops(&mut page);
    for wanted in [
        "Skip to the content",
        "Train",
        "The signal, forward",
        "Initializer",
        "Scale",
        "As it is written",
        "Depth",
        "Width",
        "Activation",
        "Bias",
        "Residual",
        "Layer norm",
        "Compare with network B",
        "Seed",
        "Use he_normal",
        "the first layer's axis",
        "Copy the command for network A",
    ] {
        assert!(found.iter().any(|own| own == wanted), "{wanted} is not among {found:?}");
    }
    // To the advice, and taken; to the race, and off.
    top(&mut page);
    for _ in 0..=found.iter().position(|own| own == "Use he_normal").unwrap() {
        page.press("Tab");
    }
    page.press("Enter");
    shows(&mut page, ".verdict.a", "Healthy");
    top(&mut page);
    for _ in 0..3 {
        page.press("Tab");
    }
    page.press("Enter");
    page.wait_for("document.querySelector('main').dataset.view === 'train'");
    ready(&mut page);
    let found = stops(&mut page);
    for wanted in
        ["spirals", "Start", "Step", "Optimizer", "Learning rate", "Loss", "Gradient by layer"]
    {
        assert!(found.iter().any(|own| own == wanted), "{wanted} is not among {found:?}");
    }
    top(&mut page);
    for _ in 0..=found.iter().position(|own| own == "Start").unwrap() {
        page.press("Tab");
    }
    page.press(" ");
    epoch(&mut page, 1);
    page.press(" ");
    reads(&mut page, "button.main", "Start");
    page.close();
}

/// What leaves the screen sideways though it is in no box that scrolls.
const OUTSIDE: &str = "[...document.querySelectorAll('body *')].filter((own) => {
    const box = own.getBoundingClientRect();
    const hidden = own.closest('.spoken, .unseen, .scroll, .skip, svg, option') || box.width === 0;
    return !hidden && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map((own) => `${own.tagName}.${own.className}: ${own.textContent.slice(0, 40)}`)";

/// Text whose contrast with what is behind it is below 4.5.
const PALE: &str = "(() => {
    const channels = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const light = (rgb) => {
      const [r, g, b] = rgb.map((own) => (own /= 255) <= 0.04045 ? own / 12.92 : ((own + 0.055) / 1.055) ** 2.4);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (own) => {
      for (let at = own; at; at = at.parentElement) {
        const [r, g, b, a = 1] = channels(getComputedStyle(at).backgroundColor);
        if (a === 1) return [r, g, b];
      }
      return [255, 255, 255];
    };
    const pale = [];
    for (const own of document.querySelectorAll('main *, header *, footer *')) {
      const text = [...own.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
      if (!text || own.closest('template, option, :disabled') || own.getClientRects().length === 0) continue;
      const style = getComputedStyle(own);
      const ink = own.ownerSVGElement ? style.fill : style.color;
      const [one, other] = [light(channels(ink).slice(0, 3)), light(behind(own))];
      const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (contrast < 4.5) pale.push(`${own.textContent.slice(0, 30)}: ${contrast.toFixed(2)}`);
    }
    return pale;
})()";

#[test]
fn it_fits_every_width_in_the_dark_and_in_the_light() {
    let mut page = page("#vanish?a.init=zeros&b.init=normal:0.3");
    for scheme in ["light", "dark"] {
        page.prefer(&[("prefers-color-scheme", scheme), ("prefers-reduced-motion", "reduce")]);
        let paper = text(&mut page, "getComputedStyle(document.body).backgroundColor");
        let dark: u32 =
            paper.trim_start_matches("rgb(").split(',').next().unwrap().parse().unwrap();
        assert_eq!(dark < 60, scheme == "dark", "{paper}");
        assert_eq!(
            page.evaluate("getComputedStyle(document.querySelector('button')).transitionDuration"),
            "0s"
        );
        for (view, ready) in [
            ("vanish", "document.querySelector('.verdict.b button')?.hidden === false"),
            ("train", "!document.querySelector('button.main').disabled"),
            ("train?data=digits", "document.querySelector('.lane.a .guess')?.hidden === false"),
            ("bits", "!document.querySelector('.device.gpu').textContent.includes('Looking')"),
        ] {
            page.evaluate(&format!(
                "location.hash = '#{view}{}a.depth=8'",
                if view.contains('?') { '&' } else { '?' }
            ));
            if view == "vanish" {
                page.evaluate("location.hash = '#vanish?a.init=zeros&b.init=normal:0.3'");
            }
            page.wait_for(ready);
            for width in [360, 768, 1000, 1280, 1600] {
                page.resize(width, 900);
                page.evaluate(
                    "new Promise((on) => requestAnimationFrame(() => requestAnimationFrame(on)))",
                );
                let over = page.evaluate("document.documentElement.scrollWidth - innerWidth");
                assert_eq!(over, 0, "{view} at {width}");
                assert_eq!(page.evaluate(OUTSIDE), json!([]), "{view} at {width}");
                assert_eq!(page.evaluate(PALE), json!([]), "{view} at {width}, {scheme}");
                page.screenshot(&format!("{}-{width}-{scheme}", view.replace(['?', '='], "-")));
            }
        }
    }
    page.close();
}

#[test]
fn scaled_initializers_draw_the_same_weights_larger() {
    let mut page = page("#bits");
    let checked = page.evaluate(
        "(async () => {
            const { INITS } = await import('./words.js');
            const { scaled } = await import('./scale.js');
            const { Engine } = await import('./engine.js');
            const engine = new Engine('scales');
            const others = ['constant:0.1', 'uniform:0.2', 'uniform:-0.1,0.3', 'truncated_normal:std=0.1,cut=1.5',
              'normal:0.1,0.05', 'lecun_uniform', 'xavier_fan_in_normal', 'kaiming_normal', 'ones', 'siren:10',
              'variance_scaling', 'variance_scaling:scale=3,mode=fan_avg', 'xavier_normal:2', 'orthogonal:gain=0.5'];
            const found = [];
            for (const text of [...INITS.map(([own]) => own), ...others]) {
              const twice = scaled(text, 2);
              if (twice === null) { found.push([text, null]); continue; }
              const settings = { depth: 1, width: 40, activation: 'identity', bias: 'zeros', residual: false, norm: false };
              const of = async (init) => (await engine.call('probe', { settings: { ...settings, init }, seed: 3, advise: false }))
                .layers[0].preactivation_var;
              found.push([text, await of(twice) / await of(text)]);
            }
            return found;
        })()",
    );
    let without: Vec<&str> = checked
        .as_array()
        .unwrap()
        .iter()
        .filter(|own| own[1].is_null())
        .map(|own| own[0].as_str().unwrap())
        .collect();
    assert_eq!(without, ["critical:tanh", "lsuv", "zeros"]);
    for own in checked.as_array().unwrap().iter().filter(|own| !own[1].is_null()) {
        let ratio = own[1].as_f64().unwrap_or(f64::NAN);
        // A scale is written in four digits.
        assert!((ratio - 4.0).abs() < 0.01, "{own}");
    }
    page.close();
}

#[test]
fn it_is_small() {
    assert!(built().compressed() < 500_000, "{}", built());
}

#[test]
fn it_is_quick() {
    let mut page = page("#vanish?a.depth=32&b.depth=32");
    curve(&mut page, "a");
    let first = page.evaluate("performance.now()").as_f64().unwrap();
    page.evaluate("new Promise((on) => setTimeout(on, 4000))");
    page.evaluate("long.length = 0");
    let times = page.evaluate(
        "(async () => {
            const [slider, found] = [document.querySelector('.card.a .scale'), []];
            const frame = () => new Promise(requestAnimationFrame);
            for (let step = -1; step > -20; step -= 1) {
              const before = document.querySelector('.lead .points.a').getAttribute('d');
              const start = performance.now();
              slider.value = String(step);
              slider.dispatchEvent(new Event('input'));
              while (document.querySelector('.lead .points.a').getAttribute('d') === before) await frame();
              found.push(performance.now() - start);
              await new Promise((on) => setTimeout(on, 50));
            }
            return found.sort((one, other) => one - other);
        })()",
    );
    let median = times[times.as_array().unwrap().len() / 2].as_f64().unwrap();
    let long = page.evaluate("long");
    page.evaluate("location.hash = '#train?a.depth=32&b.depth=32'");
    ready(&mut page);
    page.evaluate("long.length = 0");
    page.click("button.main");
    epoch(&mut page, 5);
    let racing: Value = page.evaluate("long");
    // Said, and not held to: whoever runs this may run much else.
    println!(
        "first curve after {first:.0} ms; slider to curve in {median:.0} ms; main thread over 50 ms: {long} while \
         a slider moves, {racing} while networks train"
    );
    page.close();
}
