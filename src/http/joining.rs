//! How a request becomes a viewer of a file, whatever it speaks.

use super::App;
use crate::hub::{Start, Subscription, Unavailable};
use crate::metrics::Rejection;
use crate::notices::Farewell;
use crate::server::Place;

/// Why there is no stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    TooMany,
    Forbidden,
    Missing,
    Unreadable,
    Stopping,
}

impl Refusal {
    /// What the viewer is told; none where the server stops.
    pub(super) fn farewell(self) -> Option<Farewell> {
        match self {
            Self::TooMany => Some(Farewell::TooMany),
            Self::Forbidden => Some(Farewell::Forbidden),
            Self::Missing => Some(Farewell::Missing),
            Self::Unreadable => Some(Farewell::Unreadable),
            Self::Stopping => None,
        }
    }

    fn counts_as(self) -> Option<Rejection> {
        match self {
            Self::TooMany => Some(Rejection::Limit),
            Self::Forbidden => Some(Rejection::Forbidden),
            Self::Missing => Some(Rejection::Missing),
            Self::Unreadable => Some(Rejection::Unreadable),
            Self::Stopping => None,
        }
    }
}

/// Joins the channel of a file, with one of the places for viewers.
///
/// # Errors
///
/// [`Refusal`], which is counted.
pub(super) async fn join(app: &App, file: &str, start: Start) -> Result<(Subscription, Place), Refusal> {
    let joined = try_join(app, file, start).await;
    if let Err(refusal) = &joined
        && let Some(rejection) = refusal.counts_as()
    {
        app.metrics.reject(rejection);
    }
    joined
}

async fn try_join(app: &App, file: &str, start: Start) -> Result<(Subscription, Place), Refusal> {
    let limit = app.settings.current().limits.max_connections;
    let place = app.viewers.take(limit).ok_or(Refusal::TooMany)?;
    let channel = app.registry.channel(file).ok_or(Refusal::Forbidden)?;
    match channel.subscribe(start).await {
        Ok(subscription) => Ok((subscription, place)),
        Err(Unavailable::Missing) => Err(Refusal::Missing),
        Err(Unavailable::Unreadable) => Err(Refusal::Unreadable),
        Err(Unavailable::Stopping) => Err(Refusal::Stopping),
    }
}
