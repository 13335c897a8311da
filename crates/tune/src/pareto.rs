//! Several objectives, all with their signs turned so that smaller is better.

use crate::{History, TrialRecord};

/// Whether `a` is nowhere worse and somewhere better.
pub(crate) fn dominates(a: &[f64], b: &[f64]) -> bool {
    let mut better = false;
    for (a, b) in a.iter().zip(b) {
        if a > b {
            return false;
        }
        better |= a < b;
    }
    better
}

/// Complete trials that break no constraint and that no other one dominates.
pub(crate) fn front_of(history: &History) -> Vec<&TrialRecord> {
    let feasible = history.trials().iter().filter(|trial| trial.violation().is_none_or(|v| v <= 0.0));
    let complete: Vec<(&TrialRecord, Vec<f64>)> =
        feasible.filter_map(|trial| trial.values().map(|values| (trial, history.losses(values)))).collect();
    let points: Vec<&[f64]> = complete.iter().map(|(_, losses)| losses.as_slice()).collect();
    let ranks = ranks(&points, usize::MAX);
    complete.iter().zip(ranks).filter(|(_, rank)| *rank == 0).map(|((trial, _), _)| *trial).collect()
}

/// The front that each point lies on, from 0; points beyond the fronts that hold the first `enough` are on the one after those.
pub(crate) fn ranks(points: &[&[f64]], enough: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    // Whoever dominates comes before whom it dominates.
    order.sort_by(|a, b| points[*a].partial_cmp(points[*b]).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b)));
    let mut ranks = vec![usize::MAX; points.len()];
    let (mut left, mut rank, mut done) = (order, 0, 0);
    while !left.is_empty() && done < enough {
        let front = if points[left[0]].len() == 2 { front_2d(points, &left) } else { front(points, &left) };
        front.iter().for_each(|i| ranks[*i] = rank);
        done += front.len();
        rank += 1;
        left.retain(|i| ranks[*i] == usize::MAX);
    }
    left.iter().for_each(|i| ranks[*i] = rank);
    ranks
}

fn front_2d(points: &[&[f64]], sorted: &[usize]) -> Vec<usize> {
    let mut front: Vec<usize> = Vec::new();
    for i in sorted {
        let point = points[*i];
        // The last of the front has the least second objective so far.
        let last = front.last().map(|last| points[*last]);
        if last.is_none_or(|last| point[1] < last[1] || point == last) {
            front.push(*i);
        }
    }
    front
}

fn front(points: &[&[f64]], sorted: &[usize]) -> Vec<usize> {
    let mut front: Vec<usize> = Vec::new();
    for i in sorted {
        if !front.iter().any(|j| dominates(points[*j], points[*i])) {
            front.push(*i);
        }
    }
    front
}

/// The volume that the points dominate up to `reference`.
///
/// Two objectives by a sweep, more by the exclusive-hypervolume recursion of While, Bradstreet and Barone, "A fast way of
/// calculating exact hypervolumes" (2012).
#[must_use]
pub fn hypervolume(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let inside = points.iter().filter(|point| point.iter().zip(reference).all(|(x, r)| x < r));
    let inside: Vec<&[f64]> = inside.map(Vec::as_slice).collect();
    let ranks = ranks(&inside, 1);
    let mut front: Vec<Vec<f64>> =
        inside.iter().zip(ranks).filter(|(_, rank)| *rank == 0).map(|(point, _)| point.to_vec()).collect();
    front.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    front.dedup();
    volume(&front, reference)
}

fn volume(front: &[Vec<f64>], reference: &[f64]) -> f64 {
    if reference.len() == 1 {
        return front.iter().map(|point| reference[0] - point[0]).fold(0.0, f64::max);
    }
    if reference.len() == 2 {
        let (mut sum, mut above) = (0.0, reference[1]);
        for point in front {
            if point[1] < above {
                sum += (reference[0] - point[0]) * (above - point[1]);
                above = point[1];
            }
        }
        return sum;
    }
    (0..front.len()).map(|i| exclusive(&front[i], &front[i + 1..], reference)).sum()
}

/// The volume that `point` dominates and `others` do not.
pub(crate) fn exclusive(point: &[f64], others: &[Vec<f64>], reference: &[f64]) -> f64 {
    let own: f64 = point.iter().zip(reference).map(|(x, r)| (r - x).max(0.0)).product();
    let limited: Vec<Vec<f64>> =
        others.iter().map(|other| other.iter().zip(point).map(|(a, b)| a.max(*b)).collect()).collect();
    own - hypervolume(&limited, reference)
}

/// The indices of `count` points that together dominate a large volume, chosen greedily: each the one that adds most, which is
/// at least 63 % of the best choice (Nemhauser, Wolsey and Fisher 1978). What a point adds only shrinks as others are
/// chosen, so it is computed anew only for the point that seems best.
pub(crate) fn largest_volume(points: &[&[f64]], reference: &[f64], count: usize) -> Vec<usize> {
    let mut unique: Vec<usize> = (0..points.len()).collect();
    unique.sort_by(|a, b| points[*a].partial_cmp(points[*b]).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b)));
    unique.dedup_by(|a, b| points[*a] == points[*b]);
    let mut gains: Vec<(f64, usize)> = unique.iter().map(|i| (exclusive(points[*i], &[], reference), *i)).collect();
    let (mut chosen, mut taken): (Vec<usize>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    while chosen.len() < count && !gains.is_empty() {
        let best = |gains: &[(f64, usize)]| {
            let place =
                (0..gains.len()).max_by(|a, b| gains[*a].0.total_cmp(&gains[*b].0).then(gains[*b].1.cmp(&gains[*a].1)));
            place.unwrap_or(0)
        };
        let mut place = best(&gains);
        let mut renewed = usize::MAX;
        while renewed != place {
            renewed = place;
            gains[place].0 = exclusive(points[gains[place].1], &taken, reference);
            place = best(&gains);
        }
        let (_, index) = gains.swap_remove(place);
        taken.push(points[index].to_vec());
        chosen.push(index);
    }
    // Copies of chosen points add nothing, and are better than nothing.
    let rest = (0..points.len()).filter(|i| !chosen.contains(i)).take(count - chosen.len()).collect::<Vec<_>>();
    chosen.extend(rest);
    chosen
}
