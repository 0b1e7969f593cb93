package client

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// part is some rows of an import, as they are sent.
type part struct {
	body        []byte
	rows        int
	contentType string
}

// splitter cuts rows into parts.
type splitter interface {
	// next gives the next part; an error may come with one and ends the rows, io.EOF without a mistake.
	next() (part, error)
	// read is how many bytes of the source have become parts.
	read() int64
}

// maxRow bounds one row: the server takes no larger one.
const maxRow = 10 << 20

func split(in Import, r io.Reader) (splitter, error) {
	text := bufio.NewReaderSize(r, 64<<10)
	if mark, _ := text.Peek(3); bytes.Equal(mark, []byte("\uFEFF")) {
		text.Discard(3) // peeked already
	}
	switch in.Format {
	case CSV:
		return splitTable(in, text)
	case NDJSON:
		lines := bufio.NewScanner(text)
		lines.Buffer(make([]byte, 0, 64<<10), maxRow)
		return &lineSplitter{in: in, lines: lines}, nil
	case JSON:
		return splitArray(in, text)
	default:
		return nil, fmt.Errorf("there is no import format %q", in.Format)
	}
}

// full says whether a part takes no more rows.
func (in Import) full(rows, bytes int) bool { return rows >= in.PartRows || bytes >= in.PartBytes }

// lineSplitter passes on the lines of NDJSON. Blank ones are no rows.
type lineSplitter struct {
	in    Import
	lines *bufio.Scanner
	bytes int64
}

func (s *lineSplitter) read() int64 { return s.bytes }

func (s *lineSplitter) next() (part, error) {
	p := part{contentType: "application/x-ndjson"}
	for !s.in.full(p.rows, len(p.body)) {
		if !s.lines.Scan() {
			if err := s.lines.Err(); err != nil {
				return p, err
			}
			return p, io.EOF
		}
		line := s.lines.Bytes()
		s.bytes += int64(len(line)) + 1
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		p.body = append(append(p.body, line...), '\n')
		p.rows++
	}
	return p, nil
}

// arraySplitter passes on the elements of a JSON array as lines.
type arraySplitter struct {
	in Import
	d  *json.Decoder
}

func splitArray(in Import, r io.Reader) (splitter, error) {
	d := json.NewDecoder(r)
	tok, err := d.Token()
	if err != nil || tok != json.Delim('[') {
		return nil, errors.Join(errors.New("the file is not a JSON array"), err)
	}
	return &arraySplitter{in, d}, nil
}

func (s *arraySplitter) read() int64 { return s.d.InputOffset() }

func (s *arraySplitter) next() (part, error) {
	p := part{contentType: "application/x-ndjson"}
	for !s.in.full(p.rows, len(p.body)) {
		if !s.d.More() {
			if _, err := s.d.Token(); err != nil {
				return p, fmt.Errorf("the array does not end: %w", err)
			}
			return p, io.EOF
		}
		var row json.RawMessage
		if err := s.d.Decode(&row); err != nil {
			return p, err
		}
		line := bytes.NewBuffer(p.body)
		if err := json.Compact(line, row); err != nil {
			return p, err
		}
		p.body = append(line.Bytes(), '\n')
		p.rows++
	}
	return p, nil
}

// tableSplitter passes on the records of a CSV file as they stand, each part below the file's header. It reads them only
// to find where they end; what is wrong with one is the server's to say.
type tableSplitter struct {
	in     Import
	r      *csv.Reader
	header []byte
	taken  bytes.Buffer // what r has taken of the file and no part has
	start  int64        // where taken begins
}

func splitTable(in Import, text io.Reader) (splitter, error) {
	s := &tableSplitter{in: in}
	s.r = csv.NewReader(io.TeeReader(text, &s.taken))
	s.r.FieldsPerRecord = -1
	s.r.ReuseRecord = true
	_, err := s.r.Read()
	if err == io.EOF {
		return nil, errors.New("the file is empty; CSV begins with a header row")
	}
	if err != nil {
		return nil, fmt.Errorf("header row: %w", err)
	}
	s.header = s.cut()
	if !bytes.HasSuffix(s.header, []byte("\n")) {
		s.header = append(s.header, '\n')
	}
	return s, nil
}

func (s *tableSplitter) read() int64 { return s.start }

// cut takes everything up to the end of the last record.
func (s *tableSplitter) cut() []byte {
	end := s.r.InputOffset()
	b := bytes.Clone(s.taken.Next(int(end - s.start)))
	s.start = end
	return b
}

func (s *tableSplitter) next() (part, error) {
	p := part{contentType: "text/csv"}
	for !s.in.full(p.rows, int(s.r.InputOffset()-s.start)) {
		_, err := s.r.Read()
		var bad *csv.ParseError
		if err == io.EOF {
			p.body = append(bytes.Clone(s.header), s.cut()...)
			return p, io.EOF
		}
		if err != nil && !errors.As(err, &bad) {
			return p, err
		}
		p.rows++
	}
	p.body = append(bytes.Clone(s.header), s.cut()...)
	return p, nil
}
