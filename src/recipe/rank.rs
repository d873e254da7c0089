//! Which of several processes this is.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// One of `world` processes that share the writing of a model: the `rank`-th, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rank {
    rank: u32,
    world: u32,
}

/// The most processes that share a model: names of files have room for five digits.
pub(super) const MOST_RANKS: u32 = 100_000;

impl Rank {
    /// The `rank`-th of `world`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there are none or more than 100,000, or `rank` is not below `world`.
    pub fn new(rank: u32, world: u32) -> Result<Rank> {
        if !(1..=MOST_RANKS).contains(&world) {
            return Err(Error::invalid("world", world, format!("1 to {MOST_RANKS} ranks")));
        }
        if rank >= world {
            let needed = match world {
                1 => "0, in a world of 1".to_owned(),
                _ => format!("0 to {}, in a world of {world}", world - 1),
            };
            return Err(Error::invalid("rank", rank, needed));
        }
        Ok(Rank { rank, world })
    }

    /// Counted from 0.
    pub fn rank(self) -> u32 {
        self.rank
    }

    /// How many there are.
    pub fn world(self) -> u32 {
        self.world
    }

    /// What a launcher told this process, in variables of the environment; without one, what all that
    /// have spoken agree on. `world` is what is known of it from elsewhere.
    ///
    /// | launcher | rank | world |
    /// |---|---|---|
    /// | torchrun | `RANK` | `WORLD_SIZE` |
    /// | Open MPI | `OMPI_COMM_WORLD_RANK` | `OMPI_COMM_WORLD_SIZE` |
    /// | PMI (MPICH, Intel MPI) | `PMI_RANK` | `PMI_SIZE` |
    /// | PMIx | `PMIX_RANK` | another's, or `world` |
    /// | Slurm (`srun`) | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS` |
    ///
    /// # Errors
    /// [`Error::Invalid`] where none has, one has told half of it or what is no number, two differ, or one and
    /// `world`, or the rank is not below the world: nothing is guessed.
    pub fn from_env(launcher: Option<Launcher>, world: Option<u32>) -> Result<Rank> {
        Rank::from_vars(launcher, world, |name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    /// [`Rank::from_env`], of variables from elsewhere.
    ///
    /// # Errors
    /// As [`Rank::from_env`].
    pub fn from_vars(
        launcher: Option<Launcher>,
        world: Option<u32>,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<Rank> {
        let get = |name: &str| get(name).filter(|value| !value.is_empty());
        let asked = |own: &&Launcher| launcher.is_none_or(|launcher| launcher == **own);
        let mut found: Option<(Launcher, Rank)> = None;
        let mut alone: Option<(Launcher, u32)> = None;
        let mut batch = false;
        for own in Launcher::ALL.iter().filter(asked) {
            let (rank_name, world_name) = own.variables();
            let number = |name: &str| {
                let value = get(name)?;
                let needed = "a whole number";
                Some(value.parse::<u32>().map_err(|_| Error::invalid(name, value, needed)))
            };
            let rank = number(rank_name).transpose()?;
            let world = world_name.and_then(number).transpose()?;
            let half = |there: &str, missing: &str| {
                let needed = format!("{missing} too, or neither (--rank and --world say it too)");
                Err(Error::invalid(own.to_string(), format!("{there} alone"), needed))
            };
            let (rank, world) = match (rank, world, world_name) {
                (None, None, _) => continue,
                (Some(rank), None, None) => {
                    alone = Some((*own, rank));
                    continue;
                }
                (Some(rank), Some(world), _) => (rank, world),
                // A batch script has it, outside of any step: a rank of nothing.
                (Some(_), None, Some(_)) if *own == Launcher::Slurm => {
                    batch = true;
                    continue;
                }
                (Some(_), None, Some(world_name)) => return half(rank_name, world_name),
                (None, Some(_), _) if *own == Launcher::Torchrun => {
                    return half("WORLD_SIZE", "RANK");
                }
                // Slurm's and MPI's own tools set it where no rank is.
                (None, Some(_), _) => continue,
            };
            let told = Rank::new(rank, world).map_err(|error| error.at(own))?;
            match found {
                Some((other, known)) if known != told => {
                    let given = format!("{other} says {known}, {own} says {told}");
                    let needed =
                        "one answer: --rank with the launcher's name, or a number and --world";
                    return Err(Error::invalid("rank", given, needed));
                }
                _ => found = Some((*own, told)),
            }
        }
        match (found, alone) {
            (Some((other, known)), Some((own, rank))) if known.rank != rank => {
                let given = format!("{other} says {known}, {own} says rank {rank}");
                let needed = "one answer: --rank with the launcher's name, or a number and --world";
                Err(Error::invalid("rank", given, needed))
            }
            (Some((own, told)), _) => match world.filter(|world| *world != told.world) {
                None => Ok(told),
                Some(world) => {
                    let given = format!("{world}, where {own} says {told}");
                    Err(Error::invalid("world", given, "the same, or the rank as a number"))
                }
            },
            (None, Some((own, rank))) if world.is_some() => {
                Rank::new(rank, world.unwrap_or_default()).map_err(|error| error.at(own))
            }
            (None, Some((own, rank))) => {
                let needed = "the number of ranks too, which it does not say: --world";
                Err(Error::invalid(own.to_string(), format!("rank {rank} alone"), needed))
            }
            (None, None) if batch => {
                let needed = "SLURM_STEP_NUM_TASKS too: `srun fanin ...` has both, a batch script alone \
                              has not";
                Err(Error::invalid("slurm", "SLURM_PROCID alone", needed))
            }
            (None, None) => {
                let asked: Vec<String> = Launcher::ALL
                    .iter()
                    .filter(asked)
                    .map(|own| match own.variables() {
                        (rank, Some(world)) => format!("{rank} and {world}"),
                        (rank, None) => rank.to_owned(),
                    })
                    .collect();
                let given = "nothing in the environment";
                let needed = format!("{} (or numbers: --rank 0 --world 8)", asked.join(", or "));
                Err(Error::invalid("rank", given, needed))
            }
        }
    }
}

/// `rank 3 of 8`.
impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank, self.world)
    }
}

/// What starts processes and tells each which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launcher {
    /// PyTorch's `torchrun`, and whatever sets `RANK` and `WORLD_SIZE` as it does.
    Torchrun,
    /// Open MPI's `mpirun`.
    OpenMpi,
    /// MPICH's and Intel MPI's.
    Pmi,
    /// Whatever speaks PMIx alone.
    Pmix,
    /// Slurm's `srun`.
    Slurm,
}

impl Launcher {
    /// Every launcher.
    pub const ALL: [Launcher; 5] =
        [Launcher::Torchrun, Launcher::OpenMpi, Launcher::Pmi, Launcher::Pmix, Launcher::Slurm];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Launcher::Torchrun => "torchrun",
            Launcher::OpenMpi => "openmpi",
            Launcher::Pmi => "pmi",
            Launcher::Pmix => "pmix",
            Launcher::Slurm => "slurm",
        }
    }

    /// Where it says the rank, and the world.
    fn variables(self) -> (&'static str, Option<&'static str>) {
        match self {
            Launcher::Torchrun => ("RANK", Some("WORLD_SIZE")),
            Launcher::OpenMpi => ("OMPI_COMM_WORLD_RANK", Some("OMPI_COMM_WORLD_SIZE")),
            Launcher::Pmi => ("PMI_RANK", Some("PMI_SIZE")),
            Launcher::Pmix => ("PMIX_RANK", None),
            // Not SLURM_NTASKS: a batch script has that too, and rank 0, outside of any step.
            Launcher::Slurm => ("SLURM_PROCID", Some("SLURM_STEP_NUM_TASKS")),
        }
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Launcher {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let known = || Launcher::ALL.map(Launcher::name);
        let named = |own: &Launcher| own.name() == text;
        Launcher::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| Error::unknown("launcher", text, known()))
    }
}
