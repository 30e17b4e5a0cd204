import { useEffect, useState } from "react";
import { Checks, Findings, ProfileForm } from "./parts.jsx";
import { ask } from "./ask.js";

/** `/` is the form and the list; `/checks/ID` one check, which a link or a reload leads to. */
export function App() {
  const [path, setPath] = useState(location.pathname);
  useEffect(() => {
    const back = () => setPath(location.pathname);
    addEventListener("popstate", back);
    return () => removeEventListener("popstate", back);
  }, []);
  const go = (to) => {
    history.pushState(null, "", to);
    setPath(to);
  };
  const [, id] = /^\/checks\/(\w+)$/.exec(path) ?? [];
  return (
    <>
      <header>
        <h1>ProfileDoctor</h1>
      </header>
      <main>{id ? <OneCheck key={id} id={id} go={go} /> : <Home go={go} />}</main>
    </>
  );
}

function Home({ go }) {
  const [checks, problem] = useAnswer("/api/checks");
  const [refused, setRefused] = useState();
  const [busy, setBusy] = useState(false);
  const check = async (text) => {
    setBusy(true);
    setRefused(undefined);
    try {
      const made = await ask("/api/checks", { text });
      go(`/checks/${made.id}`);
    } catch (error) {
      setRefused(error.message);
      setBusy(false);
    }
  };
  return (
    <>
      <ProfileForm check={check} busy={busy} problem={refused ?? problem} />
      <h2>Your checks</h2>
      {checks && <Checks checks={checks} go={go} />}
    </>
  );
}

function OneCheck({ id, go }) {
  const [check, problem] = useAnswer(`/api/checks/${id}`);
  return (
    <>
      {problem && <p role="alert">{problem}</p>}
      {check && <Findings check={check} />}
      <p>
        <button onClick={() => go("/")}>Another profile</button>
      </p>
    </>
  );
}

function useAnswer(path) {
  const [state, setState] = useState([]);
  useEffect(() => {
    let gone = false;
    const set = (next) => gone || setState(next);
    ask(path).then(
      (answer) => set([answer]),
      (error) => set([undefined, error.message]),
    );
    return () => (gone = true);
  }, [path]);
  return state;
}
