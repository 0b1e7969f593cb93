package rival

import (
	"fmt"
	"io"
	"net"
	"net/http"
)

// answer is as long as an entity.
const answer = `{"$type":"Contact","$id":"contact_00000000","$version":1,"$createdAt":"2026-01-01T00:00:00.000Z",` +
	`"name":"Nobody At All","email":"nobody.at.all.0000000@nowhere.example","phone":"+1 555 0100000","title":"None",` +
	`"department":"None","stage":"Lead","source":"Nowhere","leadScore":0}`

// Empty answers every request alike, after reading its body: 201 to a POST, 200 to the rest.
func Empty(out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on http://%s\n", listener.Addr())
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // a broken body has no answer to break
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = io.WriteString(w, answer)
	}))
}
