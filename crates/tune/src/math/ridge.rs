/// A linear regression on standardised columns, with a small penalty so that columns that say the same do no harm, and the
/// error at each row by the regression of all others.
#[derive(Debug)]
pub(crate) struct Ridge {
    means: Vec<f64>,
    scales: Vec<f64>,
    /// Of the standardised columns; the last one is the constant.
    weights: Vec<f64>,
    left_out: Vec<f64>,
}

const PENALTY: f64 = 0.1;

impl Ridge {
    /// Of rows of equal length; none when there are fewer rows than columns and two more.
    pub(crate) fn fit(rows: &[Vec<f64>], targets: &[f64], weights: &[f64]) -> Option<Self> {
        let columns = rows.first()?.len();
        if rows.len() < columns + 3 {
            return None;
        }
        let total: f64 = weights.iter().sum();
        let weighted =
            |value: &dyn Fn(usize) -> f64| (0..rows.len()).map(|i| weights[i] * value(i)).sum::<f64>() / total;
        let means: Vec<f64> = (0..columns).map(|j| weighted(&|i| rows[i][j])).collect();
        let scale = |j: usize| weighted(&|i| (rows[i][j] - means[j]).powi(2)).sqrt();
        let scales: Vec<f64> = (0..columns).map(scale).map(|s| if s > 1e-300 { s } else { 1.0 }).collect();
        let standard = |row: &[f64]| -> Vec<f64> {
            let values = row.iter().zip(&means).zip(&scales).map(|((x, mean), scale)| (x - mean) / scale);
            values.chain([1.0]).collect()
        };
        let table: Vec<Vec<f64>> = rows.iter().map(|row| standard(row)).collect();
        let size = columns + 1;
        let mut normal = vec![vec![0.0; size]; size];
        let mut right = vec![0.0; size];
        for ((row, target), weight) in table.iter().zip(targets).zip(weights) {
            for j in 0..size {
                right[j] += weight * row[j] * target;
                (0..size).for_each(|k| normal[j][k] += weight * row[j] * row[k]);
            }
        }
        (0..columns).for_each(|j| normal[j][j] += PENALTY * total / rows.len() as f64);
        let factor = cholesky(normal)?;
        let solved = solve(&factor, right);
        let left_out = table.iter().zip(targets).zip(weights).map(|((row, target), weight)| {
            let leverage = weight * dot(row, &solve(&factor, row.clone()));
            (target - dot(row, &solved)) / (1.0 - leverage).max(1e-3)
        });
        Some(Self { left_out: left_out.collect(), means, scales, weights: solved })
    }

    pub(crate) fn predict(&self, row: &[f64]) -> f64 {
        let columns = row.iter().zip(&self.means).zip(&self.scales).zip(&self.weights);
        let sum: f64 = columns.map(|(((x, mean), scale), weight)| (x - mean) / scale * weight).sum();
        sum + self.weights[row.len()]
    }

    /// What each row's target is above what all other rows predict for it.
    pub(crate) fn left_out(&self) -> &[f64] {
        &self.left_out
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The lower factor, in place; none when the matrix is not positive definite.
pub(crate) fn cholesky(mut matrix: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    for j in 0..matrix.len() {
        let (above, rest) = matrix.split_at_mut(j);
        let row = &mut rest[0];
        for (k, other) in above.iter().enumerate() {
            row[k] = (row[k] - dot(&row[..k], &other[..k])) / other[k];
        }
        let square = row[j] - dot(&row[..j], &row[..j]);
        if square <= 0.0 || !square.is_finite() {
            return None;
        }
        row[j] = square.sqrt();
    }
    Some(matrix)
}

/// Of the matrix whose lower factor is given.
pub(crate) fn solve(factor: &[Vec<f64>], mut right: Vec<f64>) -> Vec<f64> {
    forward(factor, &mut right);
    for j in (0..right.len()).rev() {
        let below: f64 = (j + 1..right.len()).map(|k| factor[k][j] * right[k]).sum();
        right[j] = (right[j] - below) / factor[j][j];
    }
    right
}

/// Of the lower factor alone.
pub(crate) fn forward(factor: &[Vec<f64>], right: &mut [f64]) {
    for (j, row) in factor.iter().enumerate() {
        right[j] = (right[j] - dot(&row[..j], &right[..j])) / row[j];
    }
}

#[cfg(test)]
mod tests {
    use super::Ridge;

    #[test]
    fn a_line_is_found_and_an_outlier_is_far_from_the_others() {
        let rows: Vec<Vec<f64>> = (0..40).map(|i| vec![f64::from(i)]).collect();
        let mut targets: Vec<f64> = (0..40).map(|i| 3.0 + 0.5 * f64::from(i)).collect();
        targets[20] += 10.0;
        let fit = Ridge::fit(&rows, &targets, &[1.0; 40]).expect("enough rows");
        assert!((fit.predict(&[10.0]) - 8.0).abs() < 0.5);
        let far = fit.left_out().iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs())).expect("rows");
        assert_eq!(far.0, 20);
        assert!(Ridge::fit(&rows[..3], &targets[..3], &[1.0; 3]).is_none());
    }
}
