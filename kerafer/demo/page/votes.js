// What ten people would say of a face, as kerafer.runtime.votes has it.

const PEOPLE = 10;

/** `"of ten people 7 would say happy, 2 neutral, 1 sad"`. */
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
  const [first, ...others] = places.filter((place) => counts[place]);
  if (!others.length) {
    return `all ten people would say ${labels[first]}`;
  }
  const rest = others.map((place) => `, ${counts[place]} ${labels[place]}`);
  return (
    `of ten people ${counts[first]} would say ${labels[first]}` + rest.join("")
  );
}
