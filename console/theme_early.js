// Before anything is painted, so that a page of a chosen theme does not flash in the other one. A classic script, as
// those hold the page up; `components/theme_switch.js` is the rest.
try {
  const theme = localStorage.getItem('switchboard.theme');
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's theme it is.
}
