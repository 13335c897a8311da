//! A report with every kind of block, over series drawn at random: `cargo run -p tapeloom-track --features report --example report -- report.html`

use tapeloom_core::{Philox, Timestamp};
use tapeloom_track::{Axis, Guide, Report, Series, Verdict};

const DAYS: usize = 2_750;

/// Returns of a day with the market's fat tails: every tenth day or so is a wild one.
fn returns(seed: u64, scale: f64) -> Vec<f64> {
    let mut uniform = vec![0.0; 13 * DAYS];
    Philox::new(seed).uniform(0, 0, &mut uniform);
    let normal = |twelve: &[f32]| twelve.iter().map(|u| f64::from(*u)).sum::<f64>() - 6.0;
    uniform.chunks(13).map(|day| normal(&day[..12]) * scale * if day[12] < 0.1 { 2.4 } else { 0.8 }).collect()
}

/// What a unit becomes.
fn equity(returns: &[f64]) -> Vec<f64> {
    returns.iter().scan(1.0, |value, r| Some(*value).inspect(|_| *value *= 1.0 + r)).map(|v| v - 1.0).collect()
}

fn drawdown(equity: &[f64]) -> Vec<f64> {
    let peak = |top: &mut f64, e: &f64| {
        *top = top.max(*e);
        Some((1.0 + e) / (1.0 + *top) - 1.0)
    };
    equity.iter().scan(f64::MIN, peak).collect()
}

fn dated(name: &str, values: &[f64]) -> Series {
    let day = |n: usize| Timestamp::from_micros((13_900 + n as i64 * 365 / 252) * 86_400_000_000);
    Series::dated(name, values.iter().enumerate().map(|(n, value)| (day(n), *value)))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("say where to write the report")?;
    let market = returns(7, 0.011);
    let forecast = returns(8, 0.002);
    let model: Vec<f64> = market.iter().zip(&forecast).map(|(m, f)| m * f.signum() * 0.7).collect();
    let (held, traded) = (equity(&market), equity(&model));
    let epochs = |start: f64, floor: f64, speed: f64| {
        (1..=24).map(move |e| (f64::from(e), floor + start * (-speed * f64::from(e)).exp()))
    };

    Report::new("LSTM with attention on daily bars, 12 symbols")
        .lead("Trained on 2008 to 2014, chosen on 2015 and 2016, judged once on what came after. All numbers are after costs of 2 basis points a side.")
        .verdict(Verdict::Caution, "No edge found: the forecast does no better than saying that tomorrow is like today.")
        .section("Against the baselines")
        .table(
            "Test period, one day ahead",
            ["measure", "model", "last price", "zero", "difference", "95% interval"],
            [
                ["RMSE of the return", "1.118%", "1.583%", "1.117%", "+0.001%", "\u{2212}0.004% to 0.006%"],
                ["directional accuracy", "50.4%", "50.9%", "\u{2014}", "\u{2212}0.5%", "\u{2212}2.1% to 1.2%"],
                ["Sharpe ratio", "0.21", "0.35", "\u{2014}", "\u{2212}0.14", "\u{2212}0.61 to 0.33"],
                ["turnover a year", "48.2", "1.0", "\u{2014}", "+47.2", ""],
            ],
        )
        .lines("Return since the start", Axis::date(""), Axis::percent("cumulative return"), [dated("model", &traded), dated("buy and hold", &held)])
        .area("Drawdown of the model", Axis::date(""), Axis::percent("below the last peak"), dated("model", &drawdown(&traded)))
        .scatter(
            "Forecast and what happened",
            Axis::percent("forecast return"),
            Axis::percent("realised return"),
            forecast.iter().copied().zip(market.iter().copied()),
            Guide::Regression,
        )
        .histogram("Daily returns of the model", Axis::percent("return of a day"), model.iter().copied())
        .section("Training")
        .lines(
            "Loss",
            Axis::number("epoch"),
            Axis::number("Huber loss"),
            [Series::new("validation", epochs(0.21, 0.482, 0.35)), Series::new("training", epochs(0.3, 0.441, 0.18))],
        )
        .bars(
            "Loss when one feature is shuffled",
            Axis::percent("increase of the validation loss"),
            [("return, 1 day", 0.021), ("volatility, 20 days", 0.014), ("volume against its mean", 0.004), ("day of the week", -0.001), ("gap", 0.0007)],
        )
        .notes(["Intervals are from a block bootstrap of 2,000 draws with blocks of 21 days.", "The test period was looked at once."])
        .write(path)?;
    Ok(())
}
