//! How a group gets its container: a new one, or the one that the last host left running.

use std::time::Duration;

use futures_util::future::join_all;
use jiff::tz::TimeZone;

use super::super::mounts::{self, FolderAccess, Mount};
use super::super::spec::{ContainerSpec, LABEL_SPEC, Limits, SpecInput};
use super::super::{Existing, LinkKind, RuntimeError};
use super::conversation::{Belongings, Resident};
use super::images::Image;
use super::link::{self, Way};
use super::{Residents, Seat};
use crate::broker::access::SignIn;
use crate::broker::egress;
use crate::groups::{ApprovalPolicy, Group};

/// How long a runner that another host started may take to answer.
const GREETING_LIMIT: Duration = Duration::from_secs(2);

impl Residents {
    /// Looks, once, at what the last host left behind: a container that is what this host would start now,
    /// and has nothing to do, is taken over; every other one with this installation's label is removed.
    ///
    /// # Errors
    /// When the engine does not answer; the next call tries again.
    pub async fn ready_engine(&self) -> Result<(), RuntimeError> {
        self.looked
            .get_or_try_init(async || {
                let found = self.runtime.list(&self.settings.installation.root_hash).await?;
                let ours = |existing: &Existing| self.holds(&existing.id);
                let taken = join_all(found.iter().filter(|existing| !ours(existing)).map(|it| self.take_over(it)));
                let taken = taken.await.into_iter().collect::<Result<Vec<bool>, _>>()?;
                let kept = taken.iter().filter(|kept| **kept).count();
                if !taken.is_empty() {
                    let removed = taken.len() - kept;
                    tracing::info!(kept, removed, "looked at the containers that the last host left");
                }
                Ok(())
            })
            .await
            .copied()
    }

    /// Whether the container was taken over; otherwise it is gone.
    async fn take_over(&self, existing: &Existing) -> Result<bool, RuntimeError> {
        if let Some(resident) = self.adopt(existing).await {
            let group = existing.group.as_ref().filter(|group| !self.locked().contains_key(group));
            if let Some(group) = group {
                tracing::info!(%group, container = %existing.id, "took over a warm container");
                self.locked().insert(group.clone(), Seat::Idle(Box::new(resident)));
                return Ok(true);
            }
        }
        self.runtime.remove(&existing.id).await?;
        Ok(false)
    }

    /// The resident that the container can be, if it is what this host would start and has nothing to do.
    async fn adopt(&self, existing: &Existing) -> Option<Resident> {
        let groups = self.groups.borrow().groups.clone();
        let group = groups.by_id(existing.group.as_ref()?)?;
        let sign_in = self.broker.sign_in(group).ok()?;
        let (spec, image) = self.spec(group, sign_in).await.ok()?;
        if !existing.running || existing.spec.as_deref() != spec.labels.get(LABEL_SPEC).map(String::as_str) {
            return None;
        }
        let belongings = self.belongings(group, sign_in, &spec, image).await.ok()?;
        let attached = self.runtime.attach(&existing.id).await.ok()?;
        let mut resident = Resident::new(attached, belongings, &self.runtime);
        resident.greet(GREETING_LIMIT).await.then_some(resident)
    }

    /// A new container of the group.
    pub(super) async fn start(&self, group: &Group, sign_in: SignIn) -> Result<Resident, RuntimeError> {
        self.ready_engine().await?;
        let (spec, image) = self.spec(group, sign_in).await?;
        let belongings = self.belongings(group, sign_in, &spec, image).await?;
        let attached = self.runtime.start(&spec).await?;
        tracing::info!(container = %attached.id, group = %group.id, "container started");
        Ok(Resident::new(attached, belongings, &self.runtime))
    }

    /// What the group's container is.
    async fn spec(&self, group: &Group, sign_in: SignIn) -> Result<(ContainerSpec, Image), RuntimeError> {
        let settings = &self.settings;
        let installation = &settings.installation;
        let image = group.container.image.as_deref().unwrap_or(&settings.image);
        let image_id = self.runtime.image(image).await.map_err(|error| of_setting(group, error))?.id;
        let mut beyond = self.additional(group).await?;
        if let (SignIn::MountedLogin, Some(source)) = (sign_in, self.broker.login_directory()) {
            beyond.push(mounts::login(installation, source).map_err(|error| refused(&error))?);
        }
        let mut placeholders = self.broker.placeholders();
        placeholders.extend_from_slice(egress::variables(group.container.egress.mode));
        let spec = ContainerSpec::new(&SpecInput {
            installation,
            group: &group.id,
            access: folder_access(group),
            generation: group.generation,
            image,
            image_id: &image_id,
            timezone: group.timezone.as_ref().and_then(TimeZone::iana_name).unwrap_or(&settings.timezone),
            placeholders: &placeholders,
            additional_mounts: &beyond,
            network: group.container.network,
            limits: limits(group),
            link: self.link_kind().await?,
        });
        Ok((spec, Image { name: image.to_owned(), id: image_id }))
    }

    /// What of the operator's additional mounts the allowlist permits now. The others are logged, and the
    /// group works without them.
    async fn additional(&self, group: &Group) -> Result<Vec<Mount>, RuntimeError> {
        if group.container.mounts.is_empty() {
            return Ok(Vec::new());
        }
        let (installation, operator) = (self.settings.installation.clone(), self.settings.operator.clone());
        let (groups, owned) = (self.groups.borrow().groups.clone(), group.clone());
        let decided = move || mounts::extra::additional(&installation, &operator, &groups, &owned);
        let decided = tokio::task::spawn_blocking(decided).await.map_err(|error| refused(&error))?;
        for refusal in &decided.refused {
            tracing::warn!("{refusal}");
        }
        Ok(decided.mounts)
    }

    /// What is wrong with the mount allowlist, and every additional mount that would not be made now.
    pub async fn refused_mounts(&self) -> Vec<String> {
        let (installation, operator) = (self.settings.installation.clone(), self.settings.operator.clone());
        let groups = self.groups.borrow().groups.clone();
        let looked = tokio::task::spawn_blocking(move || mounts::extra::refusals(&installation, &operator, &groups));
        looked.await.unwrap_or_else(|error| vec![format!("the mounts could not be looked at: {error}")])
    }

    /// Makes the folders and opens the way to the broker.
    async fn belongings(
        &self,
        group: &Group,
        sign_in: SignIn,
        spec: &ContainerSpec,
        image: Image,
    ) -> Result<Belongings, RuntimeError> {
        let installation = &self.settings.installation;
        let (owned, id) = (installation.clone(), group.id.clone());
        let prepared = tokio::task::spawn_blocking(move || mounts::prepare(&owned, &id)).await;
        prepared.map_err(|error| refused(&error))?.map_err(|error| refused(&error))?;
        let door = self.broker.door(&group.id, sign_in, group.container.egress.clone());
        let (uid, gid) = (installation.uid, installation.gid);
        let way = match self.link_kind().await? {
            LinkKind::Socket => {
                let directory = installation.broker_folder(&group.id);
                Way::Socket(door.listen(&directory, Some((uid, gid))).map_err(|error| refused(&error))?)
            }
            LinkKind::Exec => Way::Exec { door, process: link::process(uid, gid) },
        };
        Ok(Belongings {
            group: group.id.clone(),
            generation: group.generation,
            sign_in,
            memory_bytes: spec.limits.memory_bytes,
            image,
            way,
        })
    }
}

fn refused(error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Refused(error.to_string())
}

/// Names the setting that a group's own image comes from.
fn of_setting(group: &Group, error: RuntimeError) -> RuntimeError {
    match (&group.container.image, error) {
        (Some(_), RuntimeError::ImageMissing { image }) => {
            RuntimeError::GroupImage { group: group.id.clone(), image, why: "is missing".into() }
        }
        (Some(_), RuntimeError::ImageProtocol { image, found, expected }) => {
            let why = format!("speaks protocol {found} and this host speaks {expected}: build it from the agent image");
            RuntimeError::GroupImage { group: group.id.clone(), image, why }
        }
        (_, error) => error,
    }
}

fn folder_access(group: &Group) -> FolderAccess {
    match (group.approval, group.is_main) {
        (ApprovalPolicy::Readonly, _) => FolderAccess::OBSERVER,
        (ApprovalPolicy::Auto | ApprovalPolicy::Full, true) => FolderAccess::MAIN,
        (ApprovalPolicy::Auto | ApprovalPolicy::Full, false) => FolderAccess::ORDINARY,
    }
}

/// The operator's limits over the defaults.
fn limits(group: &Group) -> Limits {
    let default = Limits::default();
    let milli_cpus = group.container.nano_cpus.map(|nano| u32::try_from(nano / 1_000_000).unwrap_or(u32::MAX));
    Limits {
        memory_bytes: group.container.memory_bytes.unwrap_or(default.memory_bytes),
        milli_cpus: milli_cpus.unwrap_or(default.milli_cpus),
        pids: group.container.pids.unwrap_or(default.pids),
    }
}
