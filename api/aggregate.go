package api

import (
	"net/http"
	"strconv"

	"headless.ly/query"
)

// aggregate: GET and POST /{noun}/aggregate
func aggregate(r *request) error {
	q, err := r.aggregateQuery()
	if err != nil {
		return err
	}
	ctx, cancel := r.context()
	defer cancel()
	groups, err := r.s.reader.Aggregate(ctx, r.tenant, r.noun, q)
	if err != nil {
		return err
	}
	r.readAt(groups.At)
	r.sendData(http.StatusOK, appendGroups(nil, groups))
	return nil
}

func (r *request) aggregateQuery() (q query.Aggregate, err error) {
	if r.c.Request.Method == http.MethodPost {
		o, err := r.object()
		if err != nil {
			return q, err
		}
		if q, err = query.ParseAggregate(o); err != nil {
			return q, err
		}
	} else {
		v, err := r.values()
		if err != nil {
			return q, err
		}
		if q, err = query.ParseAggregateValues(r.noun, v); err != nil {
			return q, err
		}
	}
	q.MinSeq, err = r.minSeq()
	return q, err
}

func appendGroups(b []byte, groups query.Groups) []byte {
	b = append(b, `{"results":[`...)
	for i, row := range groups.Results {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, row...)
	}
	b = append(b, `],"truncated":`...)
	b = strconv.AppendBool(b, groups.Truncated)
	b = append(b, `,"seq":`...)
	b = strconv.AppendInt(b, groups.Seq, 10)
	return append(b, '}')
}
