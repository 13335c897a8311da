use std::collections::BTreeSet;
use std::fs;

use proptest::prelude::*;
use tapeloom_core::Timestamp;
use tapeloom_track::{Axis, Error, Guide, Report, Series, Verdict};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

fn day(n: i64) -> Timestamp {
    Timestamp::from_micros((14_000 + n) * 86_400_000_000)
}

fn wave(n: i64) -> f64 {
    (n as f64 * 0.05).sin() * 0.1
}

/// One block of each kind, with `text` wherever text goes.
fn full(text: &str) -> Report {
    let points = || (0..200).map(|n| (wave(n), wave(3 * n)));
    Report::new(text)
        .lead(text)
        .verdict(Verdict::Good, text)
        .verdict(Verdict::Neutral, text)
        .verdict(Verdict::Caution, text)
        .verdict(Verdict::Bad, text)
        .section(text)
        .table(text, [text, text], [[text, "1.5%"], [text, "\u{2212}2.5%"]])
        .lines(
            text,
            Axis::date(text),
            Axis::percent(text),
            (0..7).map(|_| Series::dated(text, (0..2_000).map(|n| (day(n), wave(n))))),
        )
        .area(
            text,
            Axis::date(text),
            Axis::percent(text),
            Series::dated(text, (0..900).map(|n| (day(n), -wave(n).abs()))),
        )
        .scatter(text, Axis::percent(text), Axis::percent(text), points(), Guide::Identity)
        .scatter(text, Axis::number(text), Axis::number(text), points(), Guide::Regression)
        .scatter(text, Axis::number(text), Axis::number(text), points(), Guide::None)
        .bars(text, Axis::number(text), [(text, 1.0), (text, -2.0)])
        .histogram(text, Axis::percent(text), (0..500).map(wave))
        .notes([text, text])
}

/// Names and raw attributes of all tags; fails where they are not nested well.
fn tags(html: &str) -> std::result::Result<Vec<(String, String)>, String> {
    let (mut open, mut all): (Vec<String>, Vec<(String, String)>) = (vec![], vec![]);
    for part in html.split('<').skip(1) {
        let (tag, _) = part.split_once('>').ok_or(format!("a tag does not end: <{part}"))?;
        if let Some(name) = tag.strip_prefix('/') {
            let last = open.pop();
            if last.as_deref() != Some(name) {
                return Err(format!("</{name}> closes {last:?}"));
            }
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let void = tag.ends_with('/') || ["meta", "!doctype"].contains(&name);
        if !void {
            open.push(name.to_owned());
        }
        all.push((name.to_owned(), attributes.to_owned()));
    }
    if open.is_empty() { Ok(all) } else { Err(format!("still open: {open:?}")) }
}

fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let start = attributes.find(&format!("{name}=\""))? + name.len() + 2;
    attributes[start..].split('"').next()
}

#[test]
fn text_cannot_become_markup() -> Result {
    let evil = "</title><script>alert(1)</script>\"' onload=x &amp; \u{1}";
    let html = full(evil).render();
    assert!(!html.contains("<script"), "a script got in");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39; onload=x &amp;amp; \u{fffd}"));
    let names =
        |html: &str| -> std::result::Result<Vec<String>, String> { Ok(tags(html)?.into_iter().map(|t| t.0).collect()) };
    assert_eq!(names(&html)?, names(&full("plain").render())?, "text changed the structure of the page");
    Ok(())
}

#[test]
fn the_page_needs_nothing_from_elsewhere() -> Result {
    let html = full("plain").render();
    for foreign in ["http://", "https://", "src=", "href=", "url(", "@import", "<script", "<link", "<img"] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    assert!(html.contains("default-src 'none'"));
    Ok(())
}

#[test]
fn every_colour_of_a_drawing_follows_light_and_dark() -> Result {
    let html = full("plain").render();
    let style = html.split("<style>").nth(1).and_then(|rest| rest.split("</style>").next()).ok_or("no style")?;
    let mut colours = BTreeSet::new();
    for (_, attributes) in tags(&html)? {
        for kind in ["fill", "stroke"] {
            colours.extend(attribute(&attributes, kind).filter(|c| *c != "none").map(|c| format!("[{kind}=\"{c}\"]")));
        }
    }
    assert!(colours.len() >= 10, "{colours:?}");
    let unmapped: Vec<&String> = colours.iter().filter(|selector| !style.contains(*selector)).collect();
    assert!(unmapped.is_empty(), "{unmapped:?}");
    Ok(())
}

#[test]
fn years_and_percents_are_on_the_axes() {
    let html = full("plain").render();
    for label in ["\n2009\n", "\n2012\n", "\n5%\n", "\n\u{2212}5%\n"] {
        let label = label.trim();
        assert!(html.contains(&format!(">\n{label}\n</text>")), "{label}");
    }
}

#[test]
fn columns_of_numbers_are_flush_right() {
    let html = full("plain").render();
    assert!(html.contains("<td>plain</td><td class=\"n\">1.5%</td>"));
    assert!(html.contains("<th scope=\"col\" class=\"n\">plain</th>"));
    let ragged = Report::new("t").table("c", ["a", "b", "c"], [vec!["x"], vec!["y", "1", "2018-12-31"]]).render();
    assert!(ragged.contains("<td>x</td><td class=\"n\"></td><td class=\"n\"></td>"), "{ragged}");
}

#[test]
fn what_cannot_be_drawn_is_said() {
    let nothing = || Series::new("a", [(f64::NAN, 1.0), (1.0, f64::INFINITY)]);
    let html = Report::new("t")
        .lines("lines", Axis::number(""), Axis::number(""), [])
        .lines("lines", Axis::number(""), Axis::number(""), [nothing(), nothing()])
        .area("area", Axis::date(""), Axis::percent(""), nothing())
        .scatter("scatter", Axis::number(""), Axis::number(""), [], Guide::Regression)
        .bars("bars", Axis::number(""), [("a", f64::NAN)])
        .histogram("histogram", Axis::number(""), [f64::NEG_INFINITY])
        .render();
    assert_eq!(html.matches("Nothing to plot: there is no finite point.").count(), 6, "{html}");
    assert!(!html.contains("<svg"), "{html}");
}

#[test]
fn points_that_are_not_finite_are_skipped() {
    let series = |hole: &[(f64, f64)]| {
        let points = [(0.0, 1.0), (1.0, 2.0)].into_iter().chain(hole.iter().copied()).chain([(3.0, 0.5)]);
        Report::new("t").lines("l", Axis::number("x"), Axis::number("y"), [Series::new("a", points)]).render()
    };
    assert_eq!(series(&[(2.0, f64::NAN), (f64::INFINITY, 1.0), (2.5, f64::NEG_INFINITY)]), series(&[]));
}

#[test]
fn a_large_report_stays_under_a_megabyte() -> Result {
    let many = || (0..200_000_i64).map(|n| (day(n / 100), wave(n) + (n * 7_919 % 1_000) as f64 * 1e-4));
    let series = |n: usize| Series::dated(format!("series {n}"), many());
    let mut report = Report::new("large");
    for _ in 0..3 {
        let cloud = many().map(|(_, y)| (y, -y));
        report = report
            .lines("lines", Axis::date(""), Axis::percent(""), (0..4).map(series))
            .area("area", Axis::date(""), Axis::percent(""), series(0))
            .scatter("scatter", Axis::number(""), Axis::number(""), cloud, Guide::Regression)
            .histogram("histogram", Axis::number(""), many().map(|(_, y)| y));
    }
    let html = report.render();
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
    assert!(html.contains("of 200,000 points shown"));
    Ok(())
}

#[test]
fn the_same_report_is_the_same_page() {
    assert_eq!(full("plain").render(), full("plain").render());
}

#[test]
fn writing_replaces_the_file_whole_and_leaves_nothing_else() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("my report.html");
    Report::new("first").write(&path)?;
    Report::new("second").write(&path)?;
    assert!(fs::read_to_string(&path)?.contains("<h1>second</h1>"));
    assert_eq!(fs::read_dir(folder.path())?.count(), 1);
    let missing = folder.path().join("missing/report.html");
    assert!(matches!(Report::new("t").write(&missing), Err(Error::Io { path, .. }) if path == missing));
    Ok(())
}

fn anything() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), -10.0_f64..10.0, Just(0.0), Just(f64::NAN), -1e-9_f64..1e-9]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_points_are_drawn_inside_the_frame(points in proptest::collection::vec((anything(), anything()), 0..60)) {
        let dates = points.iter().map(|(x, y)| (Timestamp::from_micros(*x as i64 / 4), *y));
        let html = Report::new("t")
            .lines("lines", Axis::number("x"), Axis::number("y"), [Series::new("a", points.iter().copied())])
            .area("area", Axis::date("x"), Axis::percent("y"), Series::dated("a", dates))
            .scatter("scatter", Axis::percent("x"), Axis::number("y"), points.iter().copied(), Guide::Regression)
            .scatter("scatter", Axis::percent("x"), Axis::number("y"), points.iter().copied(), Guide::Identity)
            .bars("bars", Axis::number("x"), points.iter().map(|(x, y)| (x.to_string(), *y)))
            .histogram("histogram", Axis::number("x"), points.iter().map(|(x, _)| *x))
            .render();
        prop_assert!(!html.contains("could not be drawn"));
        let (mut width, mut height) = (0_i64, 0_i64);
        for (name, attributes) in tags(&html).map_err(TestCaseError::fail)? {
            let number = |key: &str| attribute(&attributes, key).and_then(|text| text.parse::<i64>().ok());
            if name == "svg" {
                let size: Vec<i64> = attribute(&attributes, "viewBox").unwrap_or("").split(' ').filter_map(|n| n.parse().ok()).collect();
                (width, height) = (size[2], size[3]);
            }
            let xs = ["cx", "x1", "x2", "x"].into_iter().filter_map(number);
            let ys = ["cy", "y1", "y2", "y"].into_iter().filter_map(number);
            let pairs = attribute(&attributes, "points").unwrap_or("").split_whitespace().filter_map(|pair| pair.split_once(','));
            let (px, py): (Vec<&str>, Vec<&str>) = pairs.unzip();
            let parsed = |list: Vec<&str>| list.into_iter().filter_map(|n| n.parse::<i64>().ok()).collect::<Vec<_>>();
            for x in xs.chain(parsed(px)) {
                prop_assert!((0..=width).contains(&x), "x = {x} in {name} {attributes}");
            }
            for y in ys.chain(parsed(py)) {
                prop_assert!((0..=height).contains(&y), "y = {y} in {name} {attributes}");
            }
        }
    }
}
