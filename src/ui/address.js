/**
 * Addresses on the server, relative to the page, so that it works below any prefix. Built here rather than left to the
 * browser, which keeps a login that was typed into the address bar and then refuses to fetch with it.
 */

/**
 * @param {string} path relative to the page
 * @returns {URL}
 */
export function addressOf(path) {
  const address = new URL(path, location.href);
  address.username = '';
  address.password = '';
  return address;
}
