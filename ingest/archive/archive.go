package archive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"headless.ly/lakehouse"
)

// ErrBroken is wrapped by every error about an archive that is cut, changed, or none at all.
var ErrBroken = errors.New("archive is broken")

// format is the version of the format; FORMAT.md describes it.
const format = 1

const (
	// partEvents and partBytes bound a part: what a Writer gathers and a Reader holds.
	partEvents = 65_536
	partBytes  = 16 << 20
	// maxPart is the size of an encoded part that a Reader takes. One document may be larger than partBytes; a request's body,
	// and so a document, is far below this.
	maxPart = 256 << 20
	// maxText is the size of tenant.json and manifest.json that a Reader takes: the manifest of a billion events is below it.
	maxText = 16 << 20
)

// Names of the members, and of the pax record with a member's checksum.
const (
	headerName   = "tenant.json"
	manifestName = "manifest.json"
	sumRecord    = "HEADLESSLY.sha256"
)

func partName(n int) string { return fmt.Sprintf("events-%06d.parquet", n) }

// Header is what an archive says of itself before the events.
type Header struct {
	Format   int       `json:"format"`
	Tenant   string    `json:"tenant"`          // that it was exported from
	EventIDs uint64    `json:"eventIds,string"` // noun.EventIDs of the log
	Head     int64     `json:"head"`            // seq of the last event
	Exported time.Time `json:"exported"`
}

// Manifest lists the parts of an archive.
type Manifest struct {
	Format int    `json:"format"`
	Events int64  `json:"events"`
	Parts  []Part `json:"parts"`
}

// Part is one file of events.
type Part struct {
	Name   string `json:"name"`
	First  int64  `json:"first"` // seq
	Last   int64  `json:"last"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Writer writes an archive. One goroutine uses it.
type Writer struct {
	tar      *tar.Writer
	header   Header
	manifest Manifest
	events   []*lakehouse.Event // of the part that is being gathered
	size     int
}

// NewWriter begins an archive on w, which stays the caller's to close. Format is filled in.
func NewWriter(w io.Writer, h Header) (*Writer, error) {
	h.Format = format
	out := &Writer{tar: tar.NewWriter(w), header: h, manifest: Manifest{Format: format, Parts: []Part{}}}
	return out, out.putJSON(headerName, h)
}

// Add appends an event, which is kept until its part is written. Events come in order of seq, from 1, without gaps.
func (w *Writer) Add(e *lakehouse.Event) error {
	if want := w.manifest.Events + 1; e.Seq != want {
		return fmt.Errorf("archive %s: event %d where %d is due", w.header.Tenant, e.Seq, want)
	}
	w.manifest.Events++
	w.events = append(w.events, e)
	w.size += len(e.Data) + len(e.Before) + len(e.Changes) + len(e.Input)
	if len(w.events) < partEvents && w.size < partBytes {
		return nil
	}
	return w.flush()
}

// flush writes the gathered events as a part.
func (w *Writer) flush() error {
	if len(w.events) == 0 {
		return nil
	}
	content, err := encode(w.events)
	if err != nil {
		return fmt.Errorf("archive %s: %w", w.header.Tenant, err)
	}
	p := Part{Name: partName(len(w.manifest.Parts) + 1), First: w.events[0].Seq, Last: w.events[len(w.events)-1].Seq, Bytes: int64(len(content))}
	if p.SHA256, err = w.put(p.Name, content); err != nil {
		return err
	}
	w.manifest.Parts = append(w.manifest.Parts, p)
	w.events, w.size = nil, 0
	return nil
}

// Close ends the archive. Without all the events that the header tells of it is an error, and the archive is broken.
func (w *Writer) Close() (Manifest, error) {
	if w.manifest.Events != w.header.Head {
		return Manifest{}, fmt.Errorf("archive %s: %d events of %d", w.header.Tenant, w.manifest.Events, w.header.Head)
	}
	err := w.flush()
	if err == nil {
		err = w.putJSON(manifestName, w.manifest)
	}
	if err == nil {
		err = w.tar.Close()
	}
	return w.manifest, err
}

func (w *Writer) putJSON(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.put(name, append(text, '\n'))
	return err
}

// put writes a member and gives its checksum.
func (w *Writer) put(name string, content []byte) (sum string, err error) {
	hash := sha256.Sum256(content)
	sum = hex.EncodeToString(hash[:])
	err = w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: int64(len(content)), Mode: 0o600,
		ModTime: w.header.Exported.Truncate(time.Second), Format: tar.FormatPAX, PAXRecords: map[string]string{sumRecord: sum}})
	if err == nil {
		_, err = w.tar.Write(content)
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", name, err)
	}
	return sum, nil
}
