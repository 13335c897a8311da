//! The page around tables and plots.

use std::fmt::Write;

use super::chart::chart;
use super::draw::SERIES;
use super::{Axis, Block, Marks, Report, Verdict};

const STYLE: &str = include_str!("page.css");

/// Nothing from elsewhere is loaded, and nothing runs, whatever a text says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

pub(super) fn render(report: &Report) -> String {
    let title = escaped(&report.title);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n",
        series_style()
    );
    for block in &report.blocks {
        self::block(&mut html, block);
    }
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

/// Maps the colours of the drawings to those of the page, which know light from dark.
fn series_style() -> String {
    SERIES.iter().enumerate().fold(String::new(), |mut css, (index, color)| {
        let hex = format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2);
        let _ = writeln!(
            css,
            "svg [fill=\"{hex}\"]{{fill:var(--s{index})}}svg [stroke=\"{hex}\"]{{stroke:var(--s{index})}}\
             .key.s{index}{{background:var(--s{index})}}"
        );
        css
    })
}

fn block(html: &mut String, block: &Block) {
    // Writing to a string can't fail.
    let _ = match block {
        Block::Lead(text) => writeln!(html, "<p class=\"lead\">{}</p>", escaped(text)),
        Block::Section(heading) => writeln!(html, "<h2>{}</h2>", escaped(heading)),
        Block::Verdict(verdict, text) => {
            let (class, mark) = match verdict {
                Verdict::Good => ("good", "\u{2713}"),
                Verdict::Neutral => ("neutral", "i"),
                Verdict::Caution => ("caution", "!"),
                Verdict::Bad => ("bad", "\u{2715}"),
            };
            let text = escaped(text);
            writeln!(
                html,
                "<p class=\"verdict {class}\"><span aria-hidden=\"true\">{mark}</span><strong>{text}</strong></p>"
            )
        }
        Block::Notes(notes) => {
            html.push_str("<ul class=\"notes\">\n");
            notes.iter().for_each(|note| {
                let _ = writeln!(html, "<li>{}</li>", escaped(note));
            });
            writeln!(html, "</ul>")
        }
        Block::Table { caption, headers, rows } => {
            table(html, caption, headers, rows);
            Ok(())
        }
        Block::Figure { title, x, y, marks } => {
            figure(html, title, x, y, marks);
            Ok(())
        }
    };
}

fn table(html: &mut String, caption: &str, headers: &[String], rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).chain([headers.len()]).max().unwrap_or(0);
    let cell = |row: &[String], column: usize| row.get(column).map(|text| escaped(text)).unwrap_or_default();
    let class = |column: usize| {
        let cells = || rows.iter().filter_map(|row| row.get(column)).filter(|text| !text.trim().is_empty());
        if cells().next().is_some() && cells().all(|text| is_number(text)) { " class=\"n\"" } else { "" }
    };
    let classes: Vec<&str> = (0..columns).map(class).collect();
    let _ = write!(html, "<div class=\"card wide\"><table>\n<caption>{}</caption>\n<thead><tr>", escaped(caption));
    for (column, class) in classes.iter().enumerate() {
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", cell(headers, column));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        html.push_str("<tr>");
        for (column, class) in classes.iter().enumerate() {
            let _ = write!(html, "<td{class}>{}</td>", cell(row, column));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table></div>\n");
}

/// Digits with signs, points, units and ranges around them; a lone dash stands for a missing number.
fn is_number(text: &str) -> bool {
    let text = text.trim();
    let starts =
        |c: char| c.is_ascii_digit() || "+-\u{2212}\u{2013}\u{2014}.(\u{b1}<>\u{2264}\u{2265}$\u{20ac}".contains(c);
    let dash = ["-", "\u{2212}", "\u{2013}", "\u{2014}", "n/a", "NaN"].contains(&text);
    dash || text.starts_with(starts) && text.contains(|c: char| c.is_ascii_digit())
}

fn figure(html: &mut String, title: &str, x: &Axis, y: &Axis, marks: &Marks) {
    let name = escaped(title);
    let _ = writeln!(html, "<figure class=\"card\">\n<figcaption>{name}</figcaption>");
    match chart(&name, x, y, marks) {
        Ok(Some(chart)) => {
            html.push_str("<p class=\"legend\">");
            if !y.label.is_empty() {
                let _ = write!(html, "<span class=\"axis\">{}</span>", escaped(&y.label));
            }
            for (entry, color) in &chart.legend {
                let _ = match color {
                    Some(color) => {
                        let key = color % SERIES.len();
                        write!(html, "<span><i class=\"key s{key}\"></i>{}</span>", escaped(entry))
                    }
                    None => write!(html, "<span class=\"axis\">{}</span>", escaped(entry)),
                };
            }
            let _ = writeln!(html, "</p>\n<div class=\"plot\">{}</div>", chart.svg);
            if !x.label.is_empty() {
                let _ = writeln!(html, "<p class=\"axis below\">{}</p>", escaped(&x.label));
            }
        }
        Ok(None) => html.push_str("<p class=\"empty\">Nothing to plot: there is no finite point.</p>\n"),
        Err(reason) => {
            let _ = writeln!(html, "<p class=\"empty\">This plot could not be drawn: {}</p>", escaped(&reason));
        }
    }
    html.push_str("</figure>\n");
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut html, c| {
        match c {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            // No place in HTML.
            c if c.is_control() && !c.is_whitespace() => html.push('\u{fffd}'),
            c => html.push(c),
        }
        html
    })
}
