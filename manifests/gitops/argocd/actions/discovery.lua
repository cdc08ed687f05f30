-- The actions that Argo CD offers for a StreamingEndpoint.
local suspended = obj.spec.suspend == true
local unverified = obj.spec.verification ~= nil and obj.spec.verification.mode == "Disabled"
return {
  ["suspend"] = { ["disabled"] = suspended },
  ["resume"] = { ["disabled"] = not suspended },
  ["verify"] = { ["disabled"] = suspended or unverified },
}
