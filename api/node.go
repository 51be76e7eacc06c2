package api

// NodeInventory begins what the inventory of a node describes; the node's ID follows. No image
// has such a name.
const NodeInventory = "node://"

// Node is a client node of Nomad, as its agent describes it.
type Node struct {
	ID     string `json:"id"` // a UUID
	Name   string `json:"name"`
	Pool   string `json:"pool,omitempty"`
	Status string `json:"status"` // in Nomad's words, such as "ready"

	// What follows is empty where the agent does not say it.
	OS        string `json:"os,omitempty"`         // such as "debian"
	OSVersion string `json:"os_version,omitempty"` // such as "12.5"
	Kernel    string `json:"kernel,omitempty"`     // release of the kernel that runs, such as "6.1.0-18-amd64"

	Drivers    []string `json:"drivers,omitempty"`    // task drivers that work there, sorted
	Ineligible bool     `json:"ineligible,omitempty"` // Nomad places nothing new there

	Record  *InventoryRecord `json:"record,omitempty"`  // of what was read there last
	Missing string           `json:"missing,omitempty"` // why nobody knows what is installed there now
}
