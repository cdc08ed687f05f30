-- The actions that Argo CD offers for a StreamingEndpoint.
local suspended = obj.spec.suspend == true
return {
  ["suspend"] = { ["disabled"] = suspended },
  ["resume"] = { ["disabled"] = not suspended },
}
