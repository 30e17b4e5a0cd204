/**
 * A setting whose name says that its value is a secret, like DB_PASSWORD; DB_PASSWORD_FILE is a path and no secret. Clients of
 * databases have names of their own.
 */
const NAME =
  /(^|[_.-])(pass(word|wd|phrase)?|secret([_.-]?key)?|token|api[_.-]?key|(access|private|signing|encryption|session|master|auth)[_.-]?key|credentials?)$|^(pgpassword|mysql_pwd|rediscli_auth)$/i;

/** Values that are secret whatever they are called: keys and tokens by their form, and passwords in URLs. */
const VALUES = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /\bAKIA[0-9A-Z]{16}\b/,
  /\bgh[pousr]_[A-Za-z0-9]{36}/,
  /\bglpat-[\w-]{20}/,
  /\bxox[abprs]-[\w-]{10}/,
  /\b[sr]k_live_\w{16}/,
  /\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\./,
  /:\/\/[^\s/:@]*:[^\s/@$]+@/,
];

/** An option of a program, like --requirepass, with its value in the same argument or in the next. */
const OPTION =
  /(?:^|\s)--?[\w.-]*(?:passw(?:or)?d|requirepass|secret|token|api[_-]?key)(?:=|\s+)["']?(?![/$-])[^\s"']+/i;
const OPTION_NAME = /^--?[\w.-]*(?:passw(?:or)?d|requirepass|secret|token|api[_-]?key)$/i;

export function looksSecret(name: string, value: string): boolean {
  return (NAME.test(name) && value !== "" && !/^[/$]/.test(value)) || isSecretValue(value);
}

export function argumentLooksSecret(argument: string, before: string | undefined): boolean {
  if (before !== undefined && OPTION_NAME.test(before) && !/^[/$-]/.test(argument)) return true;
  return OPTION.test(argument) || isSecretValue(argument);
}

function isSecretValue(value: string): boolean {
  return VALUES.some((pattern) => pattern.test(value));
}
