package kpi

// Text is a query as it is asked of the whole fleet.
func (q Queries) Text(query string) string { return q.expand(query, nil) }
