//! Arithmetic on points: what can be drawn, what can be left out, and what line lies through them.

/// Points that can be drawn.
pub(super) fn finite(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points.iter().copied().filter(|(x, y)| drawable(*x) && drawable(*y)).collect()
}

/// Spans of larger numbers would not be finite.
pub(super) fn drawable(value: f64) -> bool {
    value.abs() < 1e150
}

/// Smallest and largest.
pub(super) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().fold(None, |extent, v| match extent {
        None => Some((v, v)),
        Some((low, high)) => Some((v.min(low), v.max(high))),
    })
}

/// At most about `limit` points of a line that look the same: the lowest and the highest of each stretch, in their order,
/// and both ends.
pub(super) fn thinned_line(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    if points.len() <= limit.max(4) {
        return points.to_vec();
    }
    let stretch = points.len().div_ceil(limit / 2);
    let mut kept: Vec<usize> = vec![0, points.len() - 1];
    for start in (0..points.len()).step_by(stretch) {
        let by_y = |a: &usize, b: &usize| points[*a].1.total_cmp(&points[*b].1);
        let indices = start..(start + stretch).min(points.len());
        kept.extend(indices.clone().min_by(by_y).into_iter().chain(indices.max_by(by_y)));
    }
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|index| points[index]).collect()
}

/// At most `limit` points of a cloud, evenly out of their order, and always the outermost four.
pub(super) fn thinned_cloud(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let (inner, by) = (limit.saturating_sub(4).max(1), |a: f64, b: f64| a.total_cmp(&b));
    let mut kept: Vec<usize> = (0..inner).map(|n| n * points.len() / inner).collect();
    kept.extend((0..points.len()).min_by(|a, b| by(points[*a].0, points[*b].0)));
    kept.extend((0..points.len()).max_by(|a, b| by(points[*a].0, points[*b].0)));
    kept.extend((0..points.len()).min_by(|a, b| by(points[*a].1, points[*b].1)));
    kept.extend((0..points.len()).max_by(|a, b| by(points[*a].1, points[*b].1)));
    kept.sort_unstable();
    kept.dedup();
    kept.into_iter().map(|index| points[index]).collect()
}

/// Intercept, slope and correlation of the least-squares line; none where x or y does not vary.
pub(super) fn least_squares(points: &[(f64, f64)]) -> Option<(f64, f64, f64)> {
    let count = points.len() as f64;
    let (mean_x, mean_y) = points.iter().fold((0.0, 0.0), |(mx, my), (x, y)| (mx + x / count, my + y / count));
    let (xx, xy, yy) = points.iter().fold((0.0, 0.0, 0.0), |(xx, xy, yy), (x, y)| {
        let (dx, dy) = (x - mean_x, y - mean_y);
        (xx + dx * dx, xy + dx * dy, yy + dy * dy)
    });
    let slope = xy / xx;
    let correlation = xy / (xx * yy).sqrt();
    (slope.is_finite() && correlation.is_finite()).then_some((mean_y - slope * mean_x, slope, correlation))
}

/// The part of `y = intercept + slope * x` inside a rectangle.
pub(super) fn clipped(intercept: f64, slope: f64, x: (f64, f64), y: (f64, f64)) -> Option<[(f64, f64); 2]> {
    let (mut low, mut high) = x;
    if slope != 0.0 {
        let (a, b) = ((y.0 - intercept) / slope, (y.1 - intercept) / slope);
        (low, high) = (low.max(a.min(b)), high.min(a.max(b)));
    } else if !(y.0..=y.1).contains(&intercept) {
        return None;
    }
    (low < high).then(|| [low, high].map(|x| (x, (intercept + slope * x).clamp(y.0, y.1))))
}

/// Bins of equal width over all values: lower edges, width and counts.
pub(super) fn binned(values: &[f64], low: f64, step: f64, bins: usize) -> Vec<u64> {
    let mut counts = vec![0; bins];
    for value in values {
        let bin = ((value - low) / step).floor().max(0.0) as usize;
        if let Some(count) = counts.get_mut(bin.min(bins.saturating_sub(1))) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_spike_survives_thinning() {
        let mut points: Vec<(f64, f64)> = (0..100_000).map(|n| (f64::from(n), 0.0)).collect();
        points[54_321].1 = 9.0;
        points[54_322].1 = -9.0;
        let thin = thinned_line(&points, 1000);
        assert!(thin.len() <= 1002 && thin.contains(&(54_321.0, 9.0)) && thin.contains(&(54_322.0, -9.0)));
    }

    #[test]
    fn the_least_squares_line_is_found() {
        let points: Vec<(f64, f64)> = (0..10).map(|n| (f64::from(n), 3.0 - 0.5 * f64::from(n))).collect();
        let (intercept, slope, correlation) = least_squares(&points).expect("x and y vary");
        assert!((intercept - 3.0).abs() < 1e-12 && (slope + 0.5).abs() < 1e-12 && (correlation + 1.0).abs() < 1e-12);
        assert_eq!(least_squares(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(least_squares(&[]), None);
    }

    #[test]
    fn a_guide_ends_at_the_edge_of_the_plot() {
        assert_eq!(clipped(0.0, 1.0, (-2.0, 2.0), (-1.0, 1.0)), Some([(-1.0, -1.0), (1.0, 1.0)]));
        assert_eq!(clipped(0.5, 0.0, (-2.0, 2.0), (-1.0, 1.0)), Some([(-2.0, 0.5), (2.0, 0.5)]));
        assert_eq!(clipped(5.0, 0.0, (-2.0, 2.0), (-1.0, 1.0)), None);
        assert_eq!(clipped(50.0, 1.0, (-2.0, 2.0), (-1.0, 1.0)), None);
    }

    #[test]
    fn every_value_falls_into_one_bin() {
        assert_eq!(binned(&[0.0, 0.1, 0.5, 0.99, 1.0], 0.0, 0.5, 2), [2, 3]);
    }

    proptest! {
        #[test]
        fn thinning_keeps_order_ends_and_extremes(
            ys in proptest::collection::vec(-1e6_f64..1e6, 1..3000),
            limit in 4_usize..200,
        ) {
            let points: Vec<(f64, f64)> = ys.iter().enumerate().map(|(x, y)| (x as f64, *y)).collect();
            let thin = thinned_line(&points, limit);
            let ends = |p: &[(f64, f64)]| (p.first().copied(), p.last().copied());
            prop_assert!(thin.len() <= limit.max(4) + 2);
            prop_assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
            prop_assert_eq!(ends(&thin), ends(&points));
            prop_assert_eq!(extent(thin.iter().map(|p| p.1)), extent(ys));
        }

        #[test]
        fn a_thinned_cloud_keeps_its_outline(
            points in proptest::collection::vec((-1e6_f64..1e6, -1e6_f64..1e6), 1..500),
            limit in 5_usize..100,
        ) {
            let thin = thinned_cloud(&points, limit);
            prop_assert!(thin.len() <= limit.max(1));
            prop_assert_eq!(extent(thin.iter().map(|p| p.0)), extent(points.iter().map(|p| p.0)));
            prop_assert_eq!(extent(thin.iter().map(|p| p.1)), extent(points.iter().map(|p| p.1)));
        }
    }
}
