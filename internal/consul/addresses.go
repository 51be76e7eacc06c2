package consul

import "context"

// Addresses lists the addresses (host:port) of the services in the catalog, with the ID
// of the service that is there. Nomad writes the allocation's ID into that of a service
// that it registers. partial says what the token hides, and is empty otherwise.
func (c *Client) Addresses(ctx context.Context) (services map[string]string, partial string, err error) {
	registered, err := c.registrations(ctx)
	if err != nil {
		return nil, "", err
	}
	services = map[string]string{}
	for r := range registered.all() {
		if r.address != "" {
			services[r.address] = r.id
		}
	}
	return services, registered.partial, nil
}
