export function ProfileForm({ check, busy, problem }) {
  const submit = (event) => {
    event.preventDefault();
    void check(new FormData(event.currentTarget).get("text"));
  };
  return (
    <form onSubmit={submit}>
      <label>
        Your profile
        <textarea name="text" rows="8" maxLength="20000" required />
      </label>
      <button disabled={busy}>Check it</button>
      {problem && <p role="alert">{problem}</p>}
    </form>
  );
}

export function Checks({ checks, go }) {
  if (checks.length === 0) return <p>None yet.</p>;
  return (
    <ol aria-label="Your checks">
      {checks.map(({ id, title, findings }) => (
        <li key={id}>
          <a href={`/checks/${id}`} onClick={(event) => (event.preventDefault(), go(`/checks/${id}`))}>
            {title}
          </a>
          <span>{counted(findings.length)}</span>
        </li>
      ))}
    </ol>
  );
}

export function Findings({ check: { title, made, findings } }) {
  return (
    <article>
      <h2>{title}</h2>
      <p>
        <time dateTime={made}>{made.slice(0, 10)}</time>: {counted(findings.length)}
      </p>
      <ul aria-label="Findings">
        {findings.map(({ id, says }) => (
          <li key={id}>{says}</li>
        ))}
      </ul>
    </article>
  );
}

export function counted(number) {
  return number === 0 ? "nothing is missing" : `${number} ${number === 1 ? "finding" : "findings"}`;
}
