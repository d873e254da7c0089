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
        let mut told: Vec<Told> = Vec::new();
        let mut batch = false;
        for &own in Launcher::ALL.iter().filter(asked) {
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
            match (rank, world, world_name) {
                (Some(rank), Some(world), _) => {
                    Rank::new(rank, world).map_err(|error| error.at(own))?;
                    told.push(Told { launcher: own, rank, world: Some(world) });
                }
                (Some(rank), None, None) => told.push(Told { launcher: own, rank, world: None }),
                // A batch script has it, outside of any step: a rank of nothing.
                (Some(_), None, Some(_)) if own == Launcher::Slurm => batch = true,
                (Some(_), None, Some(world_name)) => return half(rank_name, world_name),
                (None, Some(_), _) if own == Launcher::Torchrun => {
                    return half("WORLD_SIZE", "RANK");
                }
                // Slurm's and MPI's own tools set it where no rank is.
                (None, _, _) => {}
            }
        }
        // Who says both comes first.
        told.sort_by_key(|own| own.world.is_none());
        let Some((first, others)) = told.split_first() else {
            if batch {
                let needed = "SLURM_STEP_NUM_TASKS too: `srun fanin ...` has both, a batch script alone \
                              has not";
                return Err(Error::invalid("slurm", "SLURM_PROCID alone", needed));
            }
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
            return Err(Error::invalid("rank", given, needed));
        };
        if let Some(other) = others.iter().find(|other| !first.agrees(other)) {
            let needed = "one answer: --rank with the launcher's name, or a number and --world";
            return Err(Error::invalid("rank", format!("{first}, {other}"), needed));
        }
        match (first.world, world) {
            (Some(told), Some(world)) if told != world => {
                let given = format!("{world}, where {first}");
                Err(Error::invalid("world", given, "the same, or the rank as a number"))
            }
            (Some(world), _) | (None, Some(world)) => {
                Rank::new(first.rank, world).map_err(|error| error.at(first.launcher))
            }
            (None, None) => {
                let needed = "the number of ranks too, which it does not say: --world";
                let given = format!("rank {} alone", first.rank);
                Err(Error::invalid(first.launcher.to_string(), given, needed))
            }
        }
    }
}

/// What a launcher says.
struct Told {
    launcher: Launcher,
    rank: u32,
    world: Option<u32>,
}

impl Told {
    /// Whether it is the same as far as both say it.
    fn agrees(&self, other: &Told) -> bool {
        self.rank == other.rank && other.world.is_none_or(|world| self.world == Some(world))
    }
}

/// `torchrun says rank 3 of 8`.
impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} says rank {}", self.launcher, self.rank)?;
        self.world.map_or(Ok(()), |world| write!(f, " of {world}"))
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
