use std::collections::{BTreeMap, HashMap};

use arrow_array::RecordBatch;
use serde::Serialize;

use super::columns::{as_numbers, as_text};
use crate::{Error, Result};

/// How well persons hide in a table. Whatever it says, a table is anonymous only for what an attacker knows: see the recital 26
/// of Regulation (EU) 2016/679.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Anonymity {
    /// Rows.
    pub rows: usize,
    /// Groups of rows that look alike.
    pub classes: usize,
    /// Rows of the smallest group (Sweeney, "k-anonymity", 2002).
    pub k: usize,
    /// By sensitive column.
    pub sensitive: BTreeMap<String, Sensitive>,
}

/// What the groups tell of a sensitive column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Sensitive {
    /// Different values in the group that has fewest (Machanavajjhala and others, "l-diversity", 2007).
    pub distinct_l: usize,
    /// Of the entropy of the values, as a number of equally likely ones, in the group where it is least.
    pub entropy_l: f64,
    /// The furthest that a group's values are from those of all (Li and others, "t-closeness", 2007), between 0 and 1: the earth
    /// mover's distance, with equal distances between texts, and ranks between numbers.
    pub t: f64,
}

/// Measures a table: what an attacker may know of a person is in the columns `quasi`, what they want to know in `sensitive`.
///
/// # Errors
/// [`Error::Invalid`] for a column that is not there, is no text, `i64` or `f64`, for a table without rows, or without a column in
/// `quasi`.
pub fn measure(table: &RecordBatch, quasi: &[&str], sensitive: &[&str]) -> Result<Anonymity> {
    let classes = classes(table, quasi)?;
    let smallest = classes.iter().map(Vec::len).min();
    let k = smallest.ok_or_else(|| Error::invalid("table", "0 rows", "there is nothing to measure"))?;
    let columns = sensitive.iter().map(|name| Ok(((*name).to_owned(), of_column(table, name, &classes)?)));
    let sensitive = columns.collect::<Result<_>>()?;
    Ok(Anonymity { rows: table.num_rows(), classes: classes.len(), k, sensitive })
}

/// The table without the rows of groups smaller than `k`.
///
/// # Errors
/// As [`measure`].
pub fn suppress(table: &RecordBatch, quasi: &[&str], k: usize) -> Result<RecordBatch> {
    let mut stays = vec![false; table.num_rows()];
    let classes = classes(table, quasi)?;
    classes.iter().filter(|rows| rows.len() >= k).flatten().for_each(|row| stays[*row] = true);
    let rows: Vec<usize> = (0..stays.len()).filter(|row| stays[*row]).collect();
    let unfit = |e: arrow_schema::ArrowError| Error::invalid("table", rows.len(), e.to_string());
    let columns = table.columns().iter().map(|column| {
        let data = column.to_data();
        let mut taken = arrow_data::transform::MutableArrayData::new(vec![&data], false, rows.len());
        rows.iter().try_for_each(|row| taken.try_extend(0, *row, row + 1)).map_err(unfit)?;
        Ok(arrow_array::make_array(taken.freeze()))
    });
    RecordBatch::try_new(table.schema(), columns.collect::<Result<_>>()?).map_err(unfit)
}

/// Rows by what they have in common.
fn classes(table: &RecordBatch, quasi: &[&str]) -> Result<Vec<Vec<usize>>> {
    if quasi.is_empty() {
        return Err(Error::invalid("quasi", "no column", "name what an attacker may know"));
    }
    let columns = quasi.iter().map(|name| text_of(table, name)).collect::<Result<Vec<_>>>()?;
    let mut classes = HashMap::<Vec<&str>, Vec<usize>>::new();
    for row in 0..table.num_rows() {
        let key = columns.iter().map(|column| column[row].as_str()).collect();
        classes.entry(key).or_default().push(row);
    }
    let mut classes: Vec<Vec<usize>> = classes.into_values().collect();
    classes.sort_unstable();
    Ok(classes)
}

fn text_of(table: &RecordBatch, name: &str) -> Result<Vec<String>> {
    let missing = || Error::invalid("column", name, "the table has no such column");
    let column = table.column_by_name(name).ok_or_else(missing)?;
    as_text(column).ok_or_else(|| Error::invalid(name, column.data_type(), "cast it to text, i64 or f64 first"))
}

fn of_column(table: &RecordBatch, name: &str, classes: &[Vec<usize>]) -> Result<Sensitive> {
    let texts = text_of(table, name)?;
    let numbers = table.column_by_name(name).and_then(as_numbers);
    // Every different value gets a number, by size where it is one.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by(|a, b| match &numbers {
        Some(numbers) => numbers[*a].total_cmp(&numbers[*b]),
        None => texts[*a].cmp(&texts[*b]),
    });
    let (mut rank, mut count) = (vec![0; texts.len()], 0);
    for (i, row) in order.iter().enumerate() {
        count += usize::from(i == 0 || texts[order[i - 1]] != texts[*row]);
        rank[*row] = count - 1;
    }
    let shares = |rows: &mut dyn Iterator<Item = usize>, len: usize| {
        let mut shares = vec![0.0; count];
        rows.for_each(|row| shares[rank[row]] += 1.0 / len as f64);
        shares
    };
    let all = shares(&mut (0..texts.len()), texts.len());
    let (mut distinct_l, mut entropy_l, mut t) = (usize::MAX, f64::INFINITY, 0.0_f64);
    for rows in classes {
        let shares = shares(&mut rows.iter().copied(), rows.len());
        distinct_l = distinct_l.min(shares.iter().filter(|share| **share > 0.0).count());
        let entropy: f64 = shares.iter().filter(|share| **share > 0.0).map(|share| -share * share.ln()).sum();
        entropy_l = entropy_l.min(entropy.exp());
        t = t.max(distance(&shares, &all, numbers.is_some()));
    }
    Ok(Sensitive { distinct_l, entropy_l, t })
}

/// The earth mover's distance of two distributions over the same values.
fn distance(a: &[f64], b: &[f64], is_ordered: bool) -> f64 {
    if !is_ordered {
        return a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / 2.0;
    }
    let mut carried = 0.0;
    let moved: f64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| {
            carried += a - b;
            f64::abs(carried)
        })
        .sum();
    if a.len() > 1 { moved / (a.len() - 1) as f64 } else { 0.0 }
}
