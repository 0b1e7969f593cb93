package archive

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"headless.ly/lakehouse"
)

// Reader reads an archive. One goroutine uses it.
type Reader struct {
	Header Header

	in       *bufio.Reader
	tar      *tar.Reader
	manifest Manifest // what the parts have been so far
}

// Open reads the beginning of an archive. The source stays the caller's to close.
func Open(source io.Reader) (*Reader, error) {
	in := bufio.NewReaderSize(source, 64<<10)
	r := &Reader{in: in, tar: tar.NewReader(in), manifest: Manifest{Format: format, Parts: []Part{}}}
	name, content, _, err := r.next()
	if err != nil {
		return nil, err
	}
	if name != headerName {
		return nil, fmt.Errorf("%w: it begins with %q", ErrBroken, name)
	}
	if err := strictJSON(content, &r.Header); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrBroken, headerName, err)
	}
	if r.Header.Format != format {
		return nil, fmt.Errorf("archive has format %d; this program reads %d", r.Header.Format, format)
	}
	if r.Header.Head < 0 {
		return nil, fmt.Errorf("%w: head is %d", ErrBroken, r.Header.Head)
	}
	return r, nil
}

// Each calls yield with every event, in order of seq. What it has yielded is true only if it returns nil: the caller makes
// nothing of it visible before. An error of yield ends it and is returned. Events may be kept.
func (r *Reader) Each(ctx context.Context, yield func(*lakehouse.Event) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		name, content, sum, err := r.next()
		if err != nil {
			return err
		}
		if name == manifestName {
			return r.finish(content)
		}
		if want := partName(len(r.manifest.Parts) + 1); name != want {
			return fmt.Errorf("%w: %q where %q is due", ErrBroken, name, want)
		}
		events, err := decode(ctx, content)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", ErrBroken, name, err)
		}
		if err := r.take(name, sum, len(content), events); err != nil {
			return err
		}
		for _, e := range events {
			if err := yield(e); err != nil {
				return err
			}
		}
	}
}

// take checks the order of a part's events and notes the part.
func (r *Reader) take(name, sum string, size int, events []*lakehouse.Event) error {
	if len(events) == 0 {
		return fmt.Errorf("%w: %s is empty", ErrBroken, name)
	}
	for i, e := range events {
		if want := r.manifest.Events + int64(i) + 1; e.Seq != want || e.Seq > r.Header.Head {
			return fmt.Errorf("%w: %s: event %d where %d of %d is due", ErrBroken, name, e.Seq, want, r.Header.Head)
		}
	}
	r.manifest.Events += int64(len(events))
	r.manifest.Parts = append(r.manifest.Parts,
		Part{Name: name, First: events[0].Seq, Last: events[len(events)-1].Seq, Bytes: int64(size), SHA256: sum})
	return nil
}

// finish compares what was read with what the archive says it holds.
func (r *Reader) finish(content []byte) error {
	var said Manifest
	if err := strictJSON(content, &said); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBroken, manifestName, err)
	}
	if said.Format != format || said.Events != r.manifest.Events || said.Events != r.Header.Head || !slices.Equal(said.Parts, r.manifest.Parts) {
		return fmt.Errorf("%w: the manifest tells of other parts", ErrBroken)
	}
	if _, err := r.tar.Next(); err != io.EOF {
		return fmt.Errorf("%w: there is something behind the manifest", ErrBroken)
	}
	return nil
}

// next reads a member and checks it against its checksum.
func (r *Reader) next() (name string, content []byte, sum string, err error) {
	h, err := r.tar.Next()
	if errors.Is(err, io.EOF) {
		return "", nil, "", fmt.Errorf("%w: it ends before its manifest", ErrBroken)
	}
	if err != nil {
		return "", nil, "", fmt.Errorf("%w: %w", ErrBroken, err)
	}
	limit := int64(maxText)
	if h.Name != headerName && h.Name != manifestName {
		limit = maxPart
	}
	if h.Typeflag != tar.TypeReg || h.Size > limit {
		return "", nil, "", fmt.Errorf("%w: %q is no member of an archive", ErrBroken, h.Name)
	}
	var b bytes.Buffer // grows with what is there, not with what is claimed
	if _, err := io.Copy(&b, io.LimitReader(r.tar, limit)); err != nil {
		return "", nil, "", fmt.Errorf("%w: %s: %w", ErrBroken, h.Name, err)
	}
	hash := sha256.Sum256(b.Bytes())
	if sum = hex.EncodeToString(hash[:]); sum != h.PAXRecords[sumRecord] {
		return "", nil, "", fmt.Errorf("%w: %s does not have its checksum", ErrBroken, h.Name)
	}
	return h.Name, b.Bytes(), sum, nil
}

// strictJSON reads one JSON value whose members are all known.
func strictJSON(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more than one value")
	}
	return nil
}
