// Estimate the votes of ten people, as kerafer.runtime.results does.

const PEOPLE = 10;

/** `"estimated votes: happy 7, neutral 2, sad 1 of 10"`. */
export function tellVotes(labels, probabilities, temperature) {
  const values = probabilities.map((value) => Math.max(value, 1e-30));
  const most = Math.max(...values);
  let shares = values.map((value) => (value / most) ** (1 / temperature));
  const sum = shares.reduce((one, other) => one + other);
  shares = shares.map((share) => (share * PEOPLE) / sum);
  const counts = shares.map(Math.floor);
  // The largest remainders get what is left.
  const places = [...shares.keys()];
  places.sort((a, b) => shares[b] - counts[b] - (shares[a] - counts[a]));
  const left = PEOPLE - counts.reduce((one, other) => one + other);
  places.slice(0, left).forEach((place) => (counts[place] += 1));
  places.sort((a, b) => counts[b] - counts[a] || values[b] - values[a]);
  const votes = places
    .filter((place) => counts[place])
    .map((place) => `${labels[place]} ${counts[place]}`);
  return `estimated votes: ${votes.join(", ")} of ${PEOPLE}`;
}
