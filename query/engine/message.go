package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
	"unsafe"

	"headless.ly/query/duck"
)

// kind says what a message is. Those of the server are requests, but for stop; those of the engine are answers.
type kind byte

const (
	kindOpen    kind = iota + 1 // the first of a connection: the database's name
	kindExec                    // statements
	kindPrepare                 // a statement
	kindQuery                   // a statement with arguments
	kindRun                     // a prepared statement with arguments
	kindFree                    // a prepared statement; has no answer
	kindAppend                  // an attached database and a table; is answered with kindRows's end
	kindRows                    // rows to append; has no answer
	kindEnd                     // of the rows to append
	kindStop                    // the number of the request to stop

	kindColumns // of a result or a prepared statement
	kindChunk   // rows of a result
	kindDone    // the end of what was asked
	kindFailed  // likewise: why it failed
)

// Limits of messages.
const (
	headBytes = 8
	// maxMessageBytes bounds a message: one value of a result may be as large.
	maxMessageBytes = 256 << 20
	// chunkBytes is how large a message of rows becomes, unless one row is larger.
	chunkBytes = 1 << 20
	// bufferBytes gathers small messages into one write.
	bufferBytes = 64 << 10
)

// errMessage says that the other side does not speak as it should.
var errMessage = errors.New("the message cannot be read")

// head is what stands in front of a message: its length and kind.
type head [headBytes]byte

func newHead(k kind, size int) (h head) {
	binary.LittleEndian.PutUint32(h[:], uint32(size))
	h[4] = byte(k)
	return h
}

// writeMessage writes a message.
func writeMessage(w io.Writer, k kind, body []byte) error {
	if len(body) > maxMessageBytes {
		return fmt.Errorf("a message of %d bytes is too large", len(body))
	}
	h := newHead(k, len(body))
	if _, err := w.Write(h[:]); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// readMessage reads a message into a buffer, or into a new one if that is too small. It begins at a multiple of eight.
func readMessage(r io.Reader, buffer []byte) (kind, []byte, error) {
	var h head
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.LittleEndian.Uint32(h[:]))
	if size > maxMessageBytes {
		return 0, nil, errMessage
	}
	if size > cap(buffer) {
		buffer = aligned(max(size, bufferBytes/16))
	}
	buffer = buffer[:size]
	if _, err := io.ReadFull(r, buffer); err != nil {
		return 0, nil, fmt.Errorf("read message: %w", err)
	}
	return kind(h[4]), buffer, nil
}

// aligned makes a buffer that begins at a multiple of eight.
func aligned(size int) []byte {
	words := make([]uint64, (size+7)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)[:size]
}

// Each value is written as its sort and what it holds.
const (
	sortNull byte = iota
	sortFalse
	sortTrue
	sortInt
	sortFloat
	sortText
	sortTime
)

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendFlag(b []byte, flag bool) []byte {
	if flag {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendValue appends nil, a bool, an int, int64, float64, string or time.Time.
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, sortNull), nil
	case bool:
		if v {
			return append(b, sortTrue), nil
		}
		return append(b, sortFalse), nil
	case int:
		return binary.AppendVarint(append(b, sortInt), int64(v)), nil
	case int64:
		return binary.AppendVarint(append(b, sortInt), v), nil
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, sortFloat), math.Float64bits(v)), nil
	case string:
		return appendText(append(b, sortText), v), nil
	case time.Time:
		b = binary.AppendVarint(append(b, sortTime), v.Unix())
		return binary.AppendUvarint(b, uint64(v.Nanosecond())), nil
	}
	return nil, fmt.Errorf("a %T is no value of a statement", v)
}

// appendArgs appends the arguments of a statement: by position, or by name where named is not nil.
func appendArgs(b []byte, args []any, named map[string]any) (_ []byte, err error) {
	b = appendFlag(b, named != nil)
	if named == nil {
		b = binary.AppendUvarint(b, uint64(len(args)))
		for _, v := range args {
			if b, err = appendValue(b, v); err != nil {
				return nil, err
			}
		}
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(len(named)))
	for name, v := range named {
		if b, err = appendValue(appendText(b, name), v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func appendColumns(b []byte, columns []duck.Column) []byte {
	b = binary.AppendUvarint(b, uint64(len(columns)))
	for _, c := range columns {
		b = appendText(appendText(b, c.Name), c.SQL)
		b = appendFlag(binary.AppendUvarint(b, uint64(c.Type)), c.JSON)
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(c.Width)), uint64(c.Scale))
	}
	return b
}

// What failed, as an answer says it.
const (
	failedDuck      byte = iota // a *duck.Error
	failedArguments             // duck.ErrArguments
	failedStopped               // because the server asked for it
	failedMemory                // ErrMemory
	failedOther
)

// appendFailure appends why a request failed.
func appendFailure(b []byte, err error) []byte {
	failure, ok := errors.AsType[*duck.Error](err)
	switch {
	case errors.Is(err, ErrMemory):
		return append(b, failedMemory)
	case errors.Is(err, errStopped):
		return append(b, failedStopped)
	case ok:
		b = appendText(appendText(append(b, failedDuck), string(failure.Kind)), failure.Message)
		return binary.AppendVarint(b, int64(failure.Position))
	case errors.Is(err, duck.ErrArguments):
		return appendText(append(b, failedArguments), err.Error())
	}
	return appendText(append(b, failedOther), err.Error())
}

// argumentsError is an error that wraps duck.ErrArguments, with its text.
type argumentsError string

func (e argumentsError) Error() string { return string(e) }
func (e argumentsError) Unwrap() error { return duck.ErrArguments }

// message takes what is expected from the front of a message.
type message struct {
	rest   []byte
	failed bool
}

// take gives the next bytes; they lie in the message.
func (m *message) take(size uint64) []byte {
	if m.failed || size > uint64(len(m.rest)) {
		m.failed, m.rest = true, nil
		return nil
	}
	out := m.rest[:size:size]
	m.rest = m.rest[size:]
	return out
}

func (m *message) byte() byte {
	if b := m.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (m *message) flag() bool { return m.byte() != 0 }

func (m *message) unsigned() uint64 {
	v, n := binary.Uvarint(m.rest)
	m.take(uint64(max(n, 0)))
	m.failed = m.failed || n <= 0
	return v
}

func (m *message) signed() int64 {
	v, n := binary.Varint(m.rest)
	m.take(uint64(max(n, 0)))
	m.failed = m.failed || n <= 0
	return v
}

// number reads the number of a request.
func (m *message) number() uint32 {
	if b := m.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// count reads how many parts follow, each of which takes a byte at least.
func (m *message) count() int {
	n := m.unsigned()
	if n > uint64(len(m.rest)) {
		m.failed = true
		return 0
	}
	return int(n)
}

func (m *message) text() string { return string(m.take(m.unsigned())) }

// value reads a value. Where shared is set, text lies in the message.
func (m *message) value(shared bool) any {
	switch m.byte() {
	case sortNull:
		return nil
	case sortFalse:
		return false
	case sortTrue:
		return true
	case sortInt:
		return m.signed()
	case sortFloat:
		if b := m.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case sortText:
		text := m.take(m.unsigned())
		if shared {
			return unsafe.String(unsafe.SliceData(text), len(text))
		}
		return string(text)
	case sortTime:
		return time.Unix(m.signed(), int64(m.unsigned())).UTC()
	default:
		m.failed = true
	}
	return nil
}

// args reads what appendArgs appended.
func (m *message) args() (args []any, named map[string]any) {
	if m.flag() {
		named = map[string]any{}
		for range m.count() {
			name := m.text()
			named[name] = m.value(false)
		}
		return nil, named
	}
	for range m.count() {
		args = append(args, m.value(false))
	}
	return args, nil
}

func (m *message) columns() []duck.Column {
	var columns []duck.Column
	for range m.count() {
		columns = append(columns, duck.Column{
			Name: m.text(), SQL: m.text(), Type: duck.Type(m.unsigned()), JSON: m.flag(), Width: int(m.unsigned()), Scale: int(m.unsigned()),
		})
	}
	return columns
}

// failure reads what appendFailure appended.
func (m *message) failure() error {
	var err error
	switch m.byte() {
	case failedDuck:
		err = &duck.Error{Kind: duck.Kind(m.text()), Message: m.text(), Position: int(m.signed())}
	case failedArguments:
		err = argumentsError(m.text())
	case failedStopped:
		err = errStopped
	case failedMemory:
		err = ErrMemory
	default:
		err = errors.New(m.text())
	}
	if bad := m.end(); bad != nil {
		return bad
	}
	return err
}

// end says whether the message was read, whole.
func (m *message) end() error {
	if m.failed || len(m.rest) > 0 {
		return errMessage
	}
	return nil
}
