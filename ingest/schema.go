package ingest

// formatVersion is the log file's format; FORMAT.md describes it.
const formatVersion = 2

// trimmedVersion is the format of a log that has been trimmed: programs that know nothing of it must not read it.
const trimmedVersion = 3

// schema makes an empty log file.
const schema = `
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS log (
  seq INTEGER PRIMARY KEY,
  row INTEGER NOT NULL,
  at INTEGER NOT NULL,
  id TEXT NOT NULL,
  kind TEXT NOT NULL,
  type TEXT NOT NULL,
  entity TEXT NOT NULL,
  target TEXT NOT NULL,
  verb TEXT NOT NULL,
  actor TEXT NOT NULL,
  version INTEGER NOT NULL,
  source TEXT NOT NULL,
  request TEXT NOT NULL,
  cause TEXT NOT NULL,
  input BLOB,
  changes BLOB,
  before BLOB,
  data BLOB NOT NULL,
  crc INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS log_row ON log (row);
CREATE INDEX IF NOT EXISTS log_entity ON log (entity);
CREATE TABLE IF NOT EXISTS state (
  id TEXT PRIMARY KEY,
  noun TEXT NOT NULL,
  row INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  version INTEGER NOT NULL,
  deleted INTEGER NOT NULL,
  crc INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claim (
  noun TEXT NOT NULL,
  field TEXT NOT NULL,
  value TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (noun, field, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tally (
  noun TEXT PRIMARY KEY,
  live INTEGER NOT NULL,
  last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS idempotency (
  key TEXT PRIMARY KEY,
  hash BLOB NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_at ON idempotency (at);
CREATE TABLE IF NOT EXISTS hook_failure (
  id INTEGER PRIMARY KEY,
  event INTEGER NOT NULL,
  hook TEXT NOT NULL,
  message TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
`

// The statements of the log file, in one place.
const (
	logColumns = "seq, row, at, id, kind, type, entity, target, verb, actor, version, source, request, cause, input, changes, before, data, crc"

	sqlInsertLog  = "INSERT INTO log (" + logColumns + ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
	sqlPutState   = "INSERT OR REPLACE INTO state (id, noun, row, seq, version, deleted, crc) VALUES (?,?,?,?,?,?,?)"
	sqlGetState   = "SELECT noun, row, seq, version, deleted, crc FROM state WHERE id = ?"
	sqlLiveAfter  = "SELECT id, noun, seq FROM state WHERE id > ? AND deleted = 0 ORDER BY id LIMIT ?"
	sqlPutClaim   = "INSERT OR REPLACE INTO claim (noun, field, value, id) VALUES (?,?,?,?)"
	sqlDropClaim  = "DELETE FROM claim WHERE noun = ? AND field = ? AND value = ?"
	sqlGetClaim   = "SELECT id FROM claim WHERE noun = ? AND field = ? AND value = ?"
	sqlOldClaim   = "SELECT 1 FROM claim WHERE noun = ? AND field = ? LIMIT 1"
	sqlPutTally   = "INSERT OR REPLACE INTO tally (noun, live, last) VALUES (?,?,?)"
	sqlPutKey     = "INSERT OR REPLACE INTO idempotency (key, hash, seq, at) VALUES (?,?,?,?)"
	sqlGetKey     = "SELECT hash, seq, at FROM idempotency WHERE key = ?"
	sqlDropKeys   = "DELETE FROM idempotency WHERE key IN (SELECT key FROM idempotency WHERE at < ? ORDER BY at LIMIT ?)"
	sqlPutFailure = "INSERT INTO hook_failure (event, hook, message, at) VALUES (?,?,?,?)"
	sqlGetData    = "SELECT data, crc FROM log WHERE seq = ?"
	sqlGetTime    = "SELECT at FROM log WHERE seq = ?"
	sqlGetEvent   = "SELECT " + logColumns + " FROM log WHERE seq = ?"
	sqlGetEventID = "SELECT 1 FROM log WHERE seq = ? AND id = ?"
	sqlGetHead    = "SELECT seq, at FROM log ORDER BY seq DESC LIMIT 1"
	sqlPutMeta    = "INSERT OR REPLACE INTO meta (key, value) VALUES (?,?)"
	sqlGetMeta    = "SELECT value FROM meta WHERE key = ?"
	sqlAllTallies = "SELECT noun, live, last FROM tally"

	// The last event of an entity at or below a seq, and the one with a version.
	sqlEventAtSeq     = "SELECT " + logColumns + " FROM log WHERE row = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
	sqlEventAtVersion = "SELECT " + logColumns + " FROM log WHERE row = ? AND version = ? LIMIT 1"

	// Of the events in a stretch and what their entities stood on before, all but what states stand on.
	sqlTrim = "DELETE FROM log WHERE row IN (SELECT row FROM log WHERE seq > ?1 AND seq <= ?2) AND seq <= ?2" +
		" AND NOT EXISTS (SELECT 1 FROM state WHERE state.id = log.target AND state.seq = log.seq)"

	sqlRenameClaims = "UPDATE OR IGNORE claim SET field = ? WHERE noun = ? AND field = ?"

	sqlScan           = "SELECT " + logColumns + " FROM log WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
	sqlScanDesc       = "SELECT " + logColumns + " FROM log WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
	sqlScanNoun       = "SELECT " + logColumns + " FROM log WHERE entity = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
	sqlScanNounDesc   = "SELECT " + logColumns + " FROM log WHERE entity = ? AND seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
	sqlScanTarget     = "SELECT " + logColumns + " FROM log WHERE row = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
	sqlScanTargetDesc = "SELECT " + logColumns + " FROM log WHERE row = ? AND seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
)
