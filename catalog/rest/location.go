package rest

import (
	"net/url"
	"path"
	"strings"

	"github.com/apache/iceberg-go"

	"headless.ly/catalog"
)

// pathProperties are table properties that say where an engine writes.
var pathProperties = []string{
	"write.data.path", "write.metadata.path", "write.folder-storage.path", "write.object-storage.path",
}

// checkPlace checks where a client wants a table to be: in a folder of its own below the guests' folder, as in
// guests/<namespace>/<table>. It gives the location without slashes at its end.
func (s *Server) checkPlace(location string) (string, error) {
	location = strings.TrimRight(location, "/")
	if err := s.below(location); err != nil {
		return "", err
	}
	if path.Dir(path.Dir(catalog.Path(location))) == path.Dir(catalog.Path(s.cat.Guests())) {
		return "", forbidden("Location %.200q is for a namespace's tables; give the table a folder within it", location)
	}
	return location, nil
}

// checkFile checks the location of a file that metadata is to name, or is itself.
func (s *Server) checkFile(what, location string) error {
	if location == "" {
		return badRequest("Missing location of %s", what)
	}
	return s.below(location)
}

// below checks that a location is below the guests' folder, or another place of theirs. Nothing is decoded: what could be
// decoded into a way out is refused, and so is whatever is not plain.
func (s *Server) below(location string) error {
	if !strings.HasPrefix(location, "file:") && !strings.HasPrefix(location, "/") {
		return badRequest("Location %.200q is not supported: tables are kept below %s", location, s.cat.Guests())
	}
	name := catalog.Path(location)
	for _, place := range append([]string{s.cat.Guests()}, s.cfg.Places...) {
		below, found := strings.CutPrefix(name, strings.TrimRight(catalog.Path(place), "/")+"/")
		if !found {
			continue
		}
		for segment := range strings.SplitSeq(below, "/") {
			if segment == "" || segment == "." || segment == ".." || !plain(segment) {
				return badRequest("Location %.200q is not plain: letters, digits and ._~=+- between single slashes are", location)
			}
		}
		if s.private(location) {
			break
		}
		return nil
	}
	return forbidden("Location %.200q is outside of %s", location, s.cat.Guests())
}

func plain(segment string) bool {
	for _, c := range []byte(segment) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("._~=+-", c) < 0 {
			return false
		}
	}
	return true
}

func (s *Server) checkProperties(props iceberg.Properties) error {
	for _, key := range pathProperties {
		if value, found := props[key]; found {
			if err := s.below(strings.TrimRight(value, "/")); err != nil {
				return err
			}
		}
	}
	return nil
}

// private says whether a file is in the data folder, and not a guest's: however the path may be read.
func (s *Server) private(location string) bool {
	guests := catalog.Path(s.cat.Guests())
	data := path.Dir(path.Dir(guests))
	readings := []string{catalog.Path(location)}
	if decoded, err := url.PathUnescape(readings[0]); err == nil {
		readings = append(readings, decoded)
	}
	for _, name := range readings {
		name = path.Clean("/" + name)
		if strings.HasPrefix(name, data+"/") && !strings.HasPrefix(name, guests+"/") {
			return true
		}
	}
	return false
}
