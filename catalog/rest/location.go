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
	below, err := s.below(location)
	if err != nil {
		return "", err
	}
	if !strings.Contains(below, "/") {
		return "", forbidden("Location %.200q is for a namespace's tables; give the table a folder within it", location)
	}
	return location, nil
}

// checkFile checks the location of a file that metadata is to name, or is itself.
func (s *Server) checkFile(what, location string) error {
	if location == "" {
		return badRequest("Missing location of %s", what)
	}
	_, err := s.below(location)
	return err
}

// below gives the part of a location that comes after the guests' folder. Nothing is decoded: what could be decoded into a
// way out is refused, and so is whatever is not plain.
func (s *Server) below(location string) (string, error) {
	if !strings.HasPrefix(location, "file:") && !strings.HasPrefix(location, "/") {
		return "", badRequest("Location %.200q is not supported: tables are kept below %s", location, s.cat.Guests())
	}
	below, found := strings.CutPrefix(catalog.Path(location), catalog.Path(s.cat.Guests())+"/")
	if !found {
		return "", forbidden("Location %.200q is outside of %s", location, s.cat.Guests())
	}
	for _, segment := range strings.Split(below, "/") {
		if segment == "" || segment == "." || segment == ".." || !plain(segment) {
			return "", badRequest("Location %.200q is not plain: letters, digits and ._~=+- between single slashes are", location)
		}
	}
	return below, nil
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
			if _, err := s.below(strings.TrimRight(value, "/")); err != nil {
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
