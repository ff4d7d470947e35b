//! `/api/v1/avatars`: look at one, import one, delete one.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use headcast::nerf::avatar;

use super::AppState;
use super::avatar_form::{AvatarForm, read_avatar_form};
use super::inspections::without_folder;
use super::json;
use super::problem::Problem;
use crate::jobs::{AvatarDetails, OpenError};

pub(super) async fn show(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Json<json::AvatarDetails>, Problem> {
    Ok(Json(find(&state, &name).await?.into()))
}

/// Everything that is known of the avatar of that name in the address.
async fn find(state: &AppState, name: &str) -> Result<AvatarDetails, Problem> {
    let (studio, name) = (state.studio().clone(), name.to_owned());
    // Reads files.
    let found = tokio::task::spawn_blocking(move || studio.avatar(&name)).await.map_err(Problem::internal)?;
    found.ok_or_else(Problem::no_such_avatar)
}

pub(super) async fn import(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    let turn = state.upload_turn()?;
    let config = state.config();
    let uploads = config.data_dir.join("uploads");
    let form = read_avatar_form(request, &uploads, config.max_avatar_bytes).await?;
    drop(turn);

    // One at a time, and none while one is deleted: what is looked at here stays as it is until it is done.
    let _alone = state.library_turn().await;
    let AvatarForm { mut request, inspection, folder } = form;
    let name = request.name.clone();
    // Before the inspection is taken, so that another name can be tried.
    avatar::check_name(&name).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "avatar_unusable", error.to_string())
    })?;
    if let Ok(there) = find(&state, &name).await {
        if there.built_in {
            return Err(built_in(&name));
        }
        if !request.overwrite {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "avatar_exists",
                format!(
                    "there is an avatar {name:?} already; choose another name, or send overwrite as true"
                ),
            ));
        }
        refuse_if_used(&state, &name)?;
    }
    // Whatever comes of it, its files go.
    let inspection = inspection.map(|id| state.inspections().take(&id)).transpose()?;
    if let Some(inspection) = &inspection {
        inspection.aim(&mut request);
    }
    let studio = state.studio().clone();
    let imported = tokio::task::spawn_blocking(move || {
        // What the sender knows are the files, not where they were put.
        let hidden = |text: &str| {
            let text = without_folder(folder.path(), text);
            inspection.as_ref().map_or_else(|| text.clone(), |inspection| inspection.without_folder(&text))
        };
        match studio.import(&request) {
            Ok(notes) => Ok(notes.iter().map(|note| hidden(note)).collect()),
            Err(error) => Err(OpenError { message: hidden(&error.message), ..error }),
        }
    })
    .await
    .map_err(Problem::internal)?;
    let notes: Vec<String> = imported?;
    let location = format!("/api/v1/avatars/{name}");
    let body = Json(json::Imported { avatar: find(&state, &name).await?.into(), notes });
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

pub(super) async fn remove(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    let _alone = state.library_turn().await;
    if find(&state, &name).await?.built_in {
        return Err(built_in(&name));
    }
    refuse_if_used(&state, &name)?;
    let studio = state.studio().clone();
    let removed =
        tokio::task::spawn_blocking(move || studio.remove_avatar(&name)).await.map_err(Problem::internal)?;
    if removed? { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::no_such_avatar()) }
}

fn built_in(name: &str) -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "avatar_built_in",
        format!("the avatar {name:?} is part of the program and stays as it is; choose another name"),
    )
}

fn refuse_if_used(state: &AppState, name: &str) -> Result<(), Problem> {
    let used = state.jobs().list().iter().any(|job| job.request().avatar == name && !job.state().is_over());
    if used {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "avatar_in_use",
            format!("a job uses the avatar {name:?}; wait until it is done, or cancel it"),
        ));
    }
    Ok(())
}
