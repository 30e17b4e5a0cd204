/** For Docker's answer to what was to be removed, and is not there. */
export function unlessGone(error: Error): void {
  if (!error.message.includes(" answered 404: ")) throw error;
}
