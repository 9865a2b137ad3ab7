//! Places on the earth as scores of sorted sets.
//!
//! Longitude and latitude are each cut into 2^26 parts, and the bits of the two numbers alternate in one of 52 bits, which a
//! score holds exactly. A place is therefore known to about 60 centimetres, and what is read back is the middle of its cell.

/// The parts that a degree of freedom is cut into, as a power of two.
const STEP: u32 = 26;
const LONGITUDES: (f64, f64) = (-180.0, 180.0);
/// Beyond, the projection of web maps has no place.
const LATITUDES: (f64, f64) = (-85.051_128_78, 85.051_128_78);
/// Metres, as in Redis.
const EARTH_RADIUS: f64 = 6_372_797.560_856;

/// A place, in degrees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub longitude: f64,
    pub latitude: f64,
}

/// Spreads the bits of a number: each is followed by a zero.
fn spread(number: u32) -> u64 {
    (0..32).fold(0, |spread, bit| spread | u64::from(number >> bit & 1) << (2 * bit))
}

/// Every second bit.
fn gather(bits: u64) -> u32 {
    (0..32).fold(0, |number, bit| number | ((bits >> (2 * bit) & 1) as u32) << bit)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^26")]
fn part(degrees: f64, (least, most): (f64, f64)) -> u32 {
    ((degrees - least) / (most - least) * f64::from(1 << STEP)) as u32
}

fn middle(part: u32, (least, most): (f64, f64)) -> f64 {
    let edge = |part: f64| least + part / f64::from(1 << STEP) * (most - least);
    f64::midpoint(edge(f64::from(part)), edge(f64::from(part) + 1.0)).clamp(least, most)
}

impl Place {
    /// `None` for what is no place that can be stored.
    pub(super) fn new(longitude: f64, latitude: f64) -> Option<Self> {
        let within = |degrees: f64, (least, most): (f64, f64)| (least..=most).contains(&degrees);
        (within(longitude, LONGITUDES) && within(latitude, LATITUDES)).then_some(Self { longitude, latitude })
    }

    /// The 52 bits, where latitudes lie between these.
    fn bits(self, latitudes: (f64, f64)) -> u64 {
        spread(part(self.latitude, latitudes)) | spread(part(self.longitude, LONGITUDES)) << 1
    }

    #[expect(clippy::cast_precision_loss, reason = "52 bits")]
    pub(super) fn score(self) -> f64 {
        self.bits(LATITUDES) as f64
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "what is no score of a place is no place"
    )]
    pub(super) fn of_score(score: f64) -> Self {
        let bits = score as u64;
        Self { longitude: middle(gather(bits >> 1), LONGITUDES), latitude: middle(gather(bits), LATITUDES) }
    }

    /// The text of eleven letters by which others know the place.
    pub(super) fn geohash(self) -> String {
        const LETTERS: &[u8; 32] = b"0123456789bcdefghjkmnpqrstuvwxyz";
        let bits = self.bits((-90.0, 90.0));
        let letter = |at: usize| usize::try_from(bits >> (52 - 5 * (at + 1)) & 0x1f).unwrap_or(0);
        // Fifty bits are ten letters; the last has two.
        (0..10).map(|at| char::from(LETTERS[letter(at)])).chain(['0']).collect()
    }

    /// Metres between two places.
    pub(super) fn distance(self, other: Self) -> f64 {
        let across = ((other.longitude.to_radians() - self.longitude.to_radians()) / 2.0).sin();
        if across == 0.0 {
            return self.distance_of_latitudes(other);
        }
        let (here, there) = (self.latitude.to_radians(), other.latitude.to_radians());
        let along = ((there - here) / 2.0).sin();
        let arc = along * along + here.cos() * there.cos() * across * across;
        2.0 * EARTH_RADIUS * arc.sqrt().asin()
    }

    fn distance_of_latitudes(self, other: Self) -> f64 {
        EARTH_RADIUS * (other.latitude.to_radians() - self.latitude.to_radians()).abs()
    }
}

/// What is searched.
#[derive(Clone, Copy, Debug)]
pub(super) enum Area {
    /// Metres around.
    Circle(f64),
    /// Width and height, in metres.
    Box(f64, f64),
}

impl Area {
    /// Metres from the middle of the area to a place in it.
    pub(super) fn distance(self, middle: Place, place: Place) -> Option<f64> {
        let is_within = match self {
            Self::Circle(radius) => middle.distance(place) <= radius,
            Self::Box(width, height) => {
                let beside = Place { longitude: middle.longitude, latitude: place.latitude };
                middle.distance_of_latitudes(place) <= height / 2.0 && place.distance(beside) <= width / 2.0
            }
        };
        is_within.then(|| middle.distance(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_the_documentation() {
        let palermo = Place::new(13.361_389, 38.115_556).unwrap();
        let catania = Place::new(15.087_269, 37.502_669).unwrap();
        assert_eq!((palermo.score(), catania.score()), (3_479_099_956_230_698.0, 3_479_447_370_796_909.0));
        let stored = [palermo, catania].map(|place| Place::of_score(place.score()));
        assert_eq!(format!("{:.4}", stored[0].distance(stored[1])), "166274.1516");
        assert_eq!([stored[0].geohash(), stored[1].geohash()], ["sqc8b49rny0", "sqdtr74hyu0"]);
        assert_eq!(Place::new(180.1, 0.0), None);
        assert_eq!(Place::new(0.0, 86.0), None);
    }
}
