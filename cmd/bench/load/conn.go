package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// readBufferBytes holds a page of 100 entities; larger answers are read in pieces.
const readBufferBytes = 64 << 10

// Conn is one kept connection that carries one request at a time. It is not safe for concurrent use.
type Conn struct {
	conn net.Conn
	r    *bufio.Reader
	body []byte // of the last answer
}

// Answer is what a server said.
type Answer struct {
	Status int
	Seq    int64  // X-Seq: the position in the tenant's log at which a write or a read stands; 0 without
	Body   []byte // good until the connection's next request
}

// Dial connects to addr. Everything on the connection fails after the deadline.
func Dial(addr string, deadline time.Time) (*Conn, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	return &Conn{conn: conn, r: bufio.NewReaderSize(conn, readBufferBytes)}, nil
}

// Close closes the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// Do sends a whole request, head and body, and reads the whole answer. After an error the connection is of no use.
func (c *Conn) Do(request []byte) (Answer, error) {
	if _, err := c.conn.Write(request); err != nil {
		return Answer{}, err
	}
	h, err := c.head()
	if err != nil {
		return Answer{}, fmt.Errorf("read an answer's head: %w", err)
	}
	if err := c.readBody(h); err != nil {
		return Answer{}, fmt.Errorf("read an answer's body: %w", err)
	}
	return Answer{Status: h.status, Seq: h.seq, Body: c.body}, nil
}

// head is what matters of an answer's head.
type head struct {
	status  int
	length  int
	seq     int64
	chunked bool
}

// What is looked for in an answer's head.
const (
	contentLength    = "content-length"
	transferEncoding = "transfer-encoding"
	seqHeader        = "x-seq"
	chunkedCoding    = "chunked"
)

func (c *Conn) head() (head, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return head{}, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return head{}, fmt.Errorf("no status line: %q", line)
	}
	h := head{}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return head{}, fmt.Errorf("no status: %q", line)
	}
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return head{}, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return head{}, err
		}
	}
}

// field takes one header line in.
func (h *head) field(line []byte) error {
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case len(name) == len(contentLength) && bytes.EqualFold(name, []byte(contentLength)):
		n, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil || n < 0 {
			return fmt.Errorf("no content length: %q", line)
		}
		h.length = n
	case len(name) == len(seqHeader) && bytes.EqualFold(name, []byte(seqHeader)):
		n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		if err != nil {
			return fmt.Errorf("no seq: %q", line)
		}
		h.seq = n
	case len(name) == len(transferEncoding) && bytes.EqualFold(name, []byte(transferEncoding)):
		h.chunked = bytes.EqualFold(bytes.TrimSpace(value), []byte(chunkedCoding))
	}
	return nil
}

// readBody fills c.body.
func (c *Conn) readBody(h head) error {
	if h.chunked {
		return c.readChunks()
	}
	if cap(c.body) < h.length {
		c.body = make([]byte, h.length)
	}
	c.body = c.body[:h.length]
	_, err := io.ReadFull(c.r, c.body)
	return err
}

// readChunks reads a body of chunks and the trailer behind it.
func (c *Conn) readChunks() error {
	buf := bytes.NewBuffer(c.body[:0])
	if _, err := buf.ReadFrom(httputil.NewChunkedReader(c.r)); err != nil {
		return err
	}
	c.body = buf.Bytes()
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return nil
		}
	}
}
