package engine

import (
	"encoding/binary"
	"errors"
)

// Appender adds rows to a table. Rows that are not closed in may be lost.
type Appender struct {
	conn  *Conn
	batch []byte
	err   error
}

// Append opens an appender to a table of the database itself. Nothing else may be asked of the connection until it is closed;
// that the table is missing or other than its rows shows there.
func (c *Conn) Append(table string) (*Appender, error) { return c.AppendTo("", table) }

// AppendTo opens an appender to a table of an attached database, as Append does.
func (c *Conn) AppendTo(database, table string) (*Appender, error) {
	if err := c.send(kindAppend, append(appendText(c.request(), database), table...)); err != nil {
		return nil, err
	}
	return &Appender{conn: c}, nil
}

// Row adds a row: nil, bool, int64, float64, string or time.Time for each column as its type has it; of a Decimal its text
// with all digits of the scale.
func (a *Appender) Row(values ...any) (err error) {
	start := len(a.batch)
	batch := binary.AppendUvarint(a.batch, uint64(len(values)))
	for _, v := range values {
		if batch, err = appendValue(batch, v); err != nil {
			a.batch = a.batch[:start]
			return err
		}
	}
	if a.batch = batch; len(batch) >= bufferBytes {
		return a.flush()
	}
	return nil
}

func (a *Appender) flush() error {
	if len(a.batch) > 0 && a.err == nil {
		a.err = a.conn.send(kindRows, a.batch)
		a.batch = a.batch[:0]
	}
	return a.err
}

// Close adds the rows that are waiting, and frees the appender.
func (a *Appender) Close() error {
	err := a.flush()
	if failed := a.conn.send(kindEnd, nil); failed != nil { // whatever failed before, the engine waits for the end
		return errors.Join(err, failed)
	}
	return errors.Join(err, a.conn.finish())
}
