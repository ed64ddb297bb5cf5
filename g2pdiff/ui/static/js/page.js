// What the events of the page call, before or in place of the server: `g2pdiff.ui.static.call` writes the calls.
// Each function gets the parameters of its call, then the values of the event's inputs, and returns its outputs.

globalThis.g2pdiff = (() => {
  // Write a view's link into the address bar, and return the values. Empty values leave the link, and so does
  // what the link held before.
  //   view.tab      name of the tab
  //   view.names    names of the values, in their order
  //   view.longest  characters of a FASTA text that a link may hold
  const writeLink = (view, ...values) => {
    const query = new URLSearchParams(location.search);
    for (const name of [...query.keys()]) if (!name.startsWith('__')) query.delete(name);
    if (view.tab !== 'explore') query.set('tab', view.tab);
    view.names.forEach((name, i) => {
      const value = name === 'mutation_rate' ? values[i] / 100 : values[i];  // the form has it in per cent
      if (name === 'fasta' && value?.length > view.longest) return;
      if (![null, undefined, '', false].includes(value)) query.set(name, value);
    });
    history.replaceState(null, '', '?' + query);
    // Inside a Hugging Face Space the page around the app is told too.
    if (parent !== window) parent.postMessage({queryString: query.toString()}, 'https://huggingface.co');
    return values;
  };

  // On a narrow page what a run shows is below the form: bring it into view when a run starts.
  const startRun = (view, ...values) => {
    drawn[view.tab] = values;
    compareWithRun(view, ...values);
    const outcome = document.getElementById(`${view.tab}-outcome`);
    if (outcome.getBoundingClientRect().top > innerHeight * 0.6) {
      const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
      outcome.scrollIntoView({behavior: calm ? 'auto' : 'smooth'});
    }
    return writeLink(view, ...values);
  };

  const copyLink = async (view, copied, ...values) => {
    writeLink(view, ...values);
    try { await navigator.clipboard.writeText(location.href); }
    catch { prompt('Link to this view', location.href); }
    return copied;
  };

  const later = (seconds, value) => new Promise(resolve => setTimeout(resolve, 1000 * seconds, value));

  // What each tab's last run was asked for: results of anything else than the form says now are dimmed.
  const drawn = {};

  const compareWithRun = (view, ...values) => {
    const before = drawn[view.tab];
    const stale = before && values.some((value, i) => {
      // Settings that were left empty are filled with the defaults that the run took.
      const filled = before[i] === '' && ['steps', 'guidance_scale', 'alignment_scale'].includes(view.names[i]);
      return value !== before[i] && !filled;
    });
    document.getElementById(`${view.tab}-outcome`)?.classList.toggle('stale', Boolean(stale));
  };

  const drawSeed = () => String(Math.floor(2 ** 32 * Math.random()));

  const button = interactive => ({interactive, __type__: 'update'});

  // Until a run that is to stop has ended, there is nothing more to press.
  const stopRun = status => [status, button(false)];

  // When the server cannot even say how a run ended, Run is free again.
  const releaseRun = status => [status, button(true), button(false)];

  // The fields follow the map.
  const takePlace = place => place.map(String);

  // What is typed takes the place of the species that was picked.
  const selectSpecies = () => document.querySelector('#picker input').select();

  // Both ends of a walk go with its direction.
  const takeEnds = (ends, along) => ends[along].map(String);

  return {compareWithRun, copyLink, drawSeed, later, releaseRun, selectSpecies, startRun, stopRun, takeEnds, takePlace};
})();
