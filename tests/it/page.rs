//! The viewer page in a real browser, against a real server and real files: what `ARCHITECTURE.md` and the README
//! promise of it, a file a topic.

mod copying;
mod filtering;
mod history;
mod hostile;
mod lines;
mod looks;
mod merged;
mod panes;
mod reading;
mod resuming;

use std::time::Duration;

use fantoccini::Locator;
use fantoccini::actions::{Actions, InputSource, MouseActions, PointerAction, WheelAction, WheelActions};
use serde_json::{Value, json};

use crate::support::{Browser, TestServer};

/// The rows of a pane that are whole on the screen, in their order there: how far from the top of the log, and what
/// the line says, without the buttons beside it.
const ROWS: &str = "
    const pane = document.querySelectorAll('.pane')[arguments_pane];
    if (!pane) return [];
    const log = pane.querySelector('.log').getBoundingClientRect();
    return [...pane.querySelectorAll('.row')]
        .map((row) => [row.getBoundingClientRect(), row])
        .filter(([box]) => box.top >= log.top && box.bottom <= log.bottom + 1)
        .sort(([a], [b]) => a.top - b.top)
        .map(([box, row]) => [box.top - log.top, (row.querySelector('.text') ?? row).textContent]);
";

/// A browser with the page of a server.
struct View {
    browser: Browser,
}

impl View {
    /// Opens the page in English; `query` is empty or begins with a question mark.
    async fn open(server: &TestServer, query: &str) -> Self {
        Self::at(&format!("http://{}/{query}", server.address), "en").await
    }

    async fn at(address: &str, language: &str) -> Self {
        let view = Self {
            browser: Browser::start(language).await,
        };
        view.goto(address).await;
        view
    }

    async fn goto(&self, address: &str) {
        self.browser.page.goto(address).await.unwrap();
    }

    async fn run(&self, script: &str) -> Value {
        self.browser.run(script).await
    }

    async fn until(&self, what: &str, script: &str) {
        self.browser.until(what, script).await;
    }

    /// Sets what the page remembers, and opens it anew with that.
    async fn remember(&self, name: &str, value: &str) {
        let script = format!("localStorage.setItem('tailcast.{name}', {})", json!(value));
        self.run(&script).await;
        self.browser.page.refresh().await.unwrap();
    }

    async fn placed_rows(&self, pane: usize) -> Vec<(f64, String)> {
        let script = ROWS.replace("arguments_pane", &pane.to_string());
        serde_json::from_value(self.run(&script).await).unwrap()
    }

    async fn rows_of(&self, pane: usize) -> Vec<String> {
        self.placed_rows(pane).await.into_iter().map(|(_, text)| text).collect()
    }

    async fn rows(&self) -> Vec<String> {
        self.rows_of(0).await
    }

    /// Waits until the last row on the screen is `text`.
    async fn until_last(&self, text: &str) {
        self.until_last_of(0, text).await;
    }

    async fn until_last_of(&self, pane: usize, text: &str) {
        let rows = ROWS.replace("arguments_pane", &pane.to_string());
        let script = format!("return (() => {{ {rows} }})().at(-1)?.[1] === {};", json!(text));
        self.until(&format!("the last row is {text}"), &script).await;
    }

    /// Waits until some row on the screen contains a text.
    async fn until_row(&self, part: &str) {
        let rows = ROWS.replace("arguments_pane", "0");
        let script = format!(
            "return (() => {{ {rows} }})().some((row) => row[1].includes({}));",
            json!(part)
        );
        self.until(&format!("a row has {part}"), &script).await;
    }

    async fn until_text(&self, selector: &str, part: &str) {
        let script = format!(
            "return document.querySelector({}).textContent.includes({});",
            json!(selector),
            json!(part)
        );
        self.until(&format!("{selector} says {part}"), &script).await;
    }

    /// Waits until the state of the first pane reads so.
    async fn until_state(&self, part: &str) {
        self.until_text(".state-text", part).await;
    }

    /// Presses keys in the log of the first pane.
    async fn keys(&self, keys: &str) {
        self.browser
            .page
            .find(Locator::Css(".log"))
            .await
            .unwrap()
            .send_keys(keys)
            .await
            .unwrap();
    }

    /// Presses keys wherever the focus is.
    async fn press(&self, keys: &str) {
        self.browser
            .page
            .active_element()
            .await
            .unwrap()
            .send_keys(keys)
            .await
            .unwrap();
    }

    async fn click(&self, selector: &str) {
        self.browser
            .page
            .find(Locator::Css(selector))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    /// Types into a field in place of what is there.
    async fn fill(&self, selector: &str, text: &str) {
        let field = self.browser.page.find(Locator::Css(selector)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Turns the wheel over the first log.
    async fn wheel(&self, down: i64) {
        let wheel = WheelActions::new("wheel".to_owned()).then(WheelAction::Scroll {
            duration: None,
            x: 300,
            y: 300,
            delta_x: 0,
            delta_y: down,
        });
        self.browser.page.perform_actions(Actions::from(wheel)).await.unwrap();
        // What it brought into sight is drawn with the next frame.
        let frames = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done(null)))";
        self.browser.page.execute_async(frames, vec![]).await.unwrap();
    }

    /// Presses the mouse at one place and lets it go at another.
    async fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        let moved = |(x, y): (f64, f64), millis| PointerAction::MoveTo {
            duration: Some(Duration::from_millis(millis)),
            x,
            y,
        };
        let mouse = MouseActions::new("mouse".to_owned())
            .then(moved(from, 0))
            .then(PointerAction::Down { button: 0 })
            .then(moved(to, 100))
            .then(PointerAction::Up { button: 0 });
        self.browser.page.perform_actions(Actions::from(mouse)).await.unwrap();
    }

    async fn end(self) {
        let script = "return performance.getEntriesByType('resource').map((entry) => entry.name)";
        let resources: Vec<String> = serde_json::from_value(self.run(script).await).unwrap();
        let origin = self
            .browser
            .page
            .current_url()
            .await
            .unwrap()
            .origin()
            .ascii_serialization();
        assert!(
            resources
                .iter()
                .all(|name| name.starts_with(&origin) || name.starts_with("blob:")),
            "{resources:?}"
        );
        self.browser.end().await;
    }
}
