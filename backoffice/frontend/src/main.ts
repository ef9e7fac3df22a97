import "./countinghouse.css";
import "htmx.org";
import "./live";
