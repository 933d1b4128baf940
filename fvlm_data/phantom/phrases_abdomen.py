"""How a report tells the findings of the abdomen; slots as in the chest's."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from fvlm_data.phantom.phrases_chest import Wording

if TYPE_CHECKING:
    from collections.abc import Mapping

_UPPER: dict[str, Wording] = {
    "adrenal_nodule": Wording(
        ("{side} adrenal nodule", "nodule in {organ}", "{side} adrenal adenoma"),
        (
            "A nodule of {size} is observed in {organ}.",
            "There is a {size} {side} adrenal nodule.",
            "{Bare}: nodular lesion measuring {size}.",
            "A nodular thickening of {size} is seen in the corpus of {organ}.",
        ),
    ),
    "adrenal_hyperplasia": Wording(
        ("{side} adrenal hyperplasia", "adrenal thickening", "hyperplasia of {organ}"),
        (
            "There is diffuse thickening of {organ}, suggestive of hyperplasia.",
            "Hyperplasia is observed in {organ}.",
            "{Bare} diffusely thickened, with limbs of up to {size}.",
            "Diffuse adrenal hyperplasia is present on the {side}.",
        ),
    ),
    "adrenal_calcification": Wording(
        ("adrenal calcification", "calcification of {organ}"),
        (
            "A {size} calcification is seen in {organ}.",
            "Coarse calcification is observed in {organ}.",
            "{Bare}: punctate calcification.",
        ),
    ),
    "gallstone": Wording(
        ("cholelithiasis", "gallstones", "gallbladder calculus"),
        (
            "There is cholelithiasis, the largest stone measuring {size}.",
            "A calculus of {size} is observed in the gallbladder lumen.",
            "The gallbladder contains stones of up to {size}.",
            "Gallstones are present.",
            "Layering calculi are seen within the gallbladder.",
        ),
    ),
    "gallbladder_distention": Wording(
        ("gallbladder distention", "distended gallbladder", "hydropic gallbladder"),
        (
            "The gallbladder is distended, with a transverse diameter of {size}.",
            "Gallbladder distention is observed.",
            "The gallbladder appears hydropic and measures {size} across.",
        ),
    ),
    "gallbladder_absent": Wording(
        ("status post cholecystectomy", "prior cholecystectomy"),
        (
            "The gallbladder was not observed (operated).",
            "The patient is status post cholecystectomy.",
            "The gallbladder is surgically absent.",
            "Postsurgical changes of cholecystectomy.",
        ),
    ),
    "hepatic_steatosis": Wording(
        ("hepatic steatosis", "hepatosteatosis", "fatty infiltration of the liver"),
        (
            "The liver parenchyma density is diffusely decreased, compatible with steatosis.",
            "There is {grade} hepatic steatosis.",
            "Diffuse fatty infiltration of the liver is observed.",
            "Hepatosteatosis is observed.",
            "The liver shows diffusely low attenuation in keeping with fatty change.",
        ),
    ),
    "liver_cyst": Wording(
        ("hepatic cyst", "simple cyst of the liver", "liver cyst"),
        (
            "A cyst measuring {size} is observed in the liver.",
            "There is a {size} simple hepatic cyst.",
            "Well-circumscribed fluid attenuation lesion of {size} in the liver, a simple cyst.",
            "The liver contains cysts, the largest measuring {size}.",
        ),
    ),
    "liver_hypodense_lesion": Wording(
        ("hypodense liver lesion", "hypoattenuating lesion of the liver"),
        (
            "A hypodense lesion of {size} is observed in the liver parenchyma.",
            "There is a {size} hypoattenuating lesion in the liver, not fully characterized.",
            "An ill-defined low-attenuation hepatic lesion measures {size}.",
            "Hypodense lesions are seen in the liver, the largest {size}.",
        ),
    ),
    "liver_calcification": Wording(
        ("hepatic calcification", "calcified focus in the liver", "calcified hepatic granuloma"),
        (
            "A {size} calcification is seen in the liver.",
            "Millimetric calcific foci are observed in the liver.",
            "There is a calcified granuloma of {size} in the liver.",
        ),
    ),
    "hepatomegaly": Wording(
        ("hepatomegaly", "enlarged liver"),
        (
            "The liver is enlarged, measuring {size} in craniocaudal length.",
            "Liver size has increased to {size}.",
            "There is {grade} hepatomegaly.",
        ),
    ),
    "cirrhosis": Wording(
        ("cirrhosis", "cirrhotic liver morphology", "chronic liver parenchymal disease"),
        (
            "The liver has a nodular contour, consistent with cirrhosis.",
            "Liver contours are lobulated with left lobe hypertrophy, compatible with cirrhosis.",
            "Cirrhotic morphology of the liver.",
            "There is surface nodularity of the liver in keeping with cirrhosis.",
        ),
    ),
    "pancreatic_cyst": Wording(
        ("pancreatic cyst", "cystic lesion of the pancreas"),
        (
            "A cystic lesion of {size} is observed in the pancreas.",
            "There is a {size} pancreatic cyst.",
            "The pancreas contains a well-defined cystic lesion measuring {size}.",
        ),
    ),
    "pancreatic_duct_dilatation": Wording(
        ("pancreatic duct dilatation", "dilatation of the main pancreatic duct"),
        (
            "The main pancreatic duct is dilated to {size}.",
            "Dilatation of the pancreatic duct is observed, {size} in diameter.",
            "Wirsung duct is {size} wide and dilated.",
        ),
    ),
    "pancreatic_atrophy": Wording(
        ("pancreatic atrophy", "atrophy of the pancreas"),
        (
            "The pancreas is atrophic.",
            "There is {grade} atrophy of the pancreatic parenchyma.",
            "Pancreas dimensions have decreased, atrophy.",
        ),
    ),
    "portal_vein_dilatation": Wording(
        ("portal vein dilatation", "dilated portal vein"),
        (
            "The main portal vein is dilated, with a diameter of {size}.",
            "Portal vein caliber has increased to {size}.",
            "There is dilatation of the portal vein measuring {size}.",
        ),
    ),
    "portal_vein_thrombosis": Wording(
        ("portal vein thrombosis", "portal venous thrombus"),
        (
            "There is thrombus within the main portal vein.",
            "Thrombosis is observed in the portal vein.",
            "The portal vein is expanded and filled by thrombus.",
        ),
    ),
    "splenomegaly": Wording(
        ("splenomegaly", "enlarged spleen"),
        (
            "The spleen is enlarged and measures {size}.",
            "Spleen size increased to {size}.",
            "There is {grade} splenomegaly.",
            "Splenomegaly, with a craniocaudal length of {size}.",
        ),
    ),
    "spleen_cyst": Wording(
        ("splenic cyst", "cyst in the spleen"),
        (
            "A cyst of {size} is observed in the spleen.",
            "There is a {size} splenic cyst.",
            "The spleen contains a fluid-attenuation cyst measuring {size}.",
        ),
    ),
    "splenic_calcification": Wording(
        ("splenic calcification", "calcified granulomas of the spleen"),
        (
            "Calcified granulomas are seen in the spleen.",
            "There is a calcification of {size} in the spleen.",
            "Millimetric calcifications are observed in the spleen.",
        ),
    ),
    "spleen_absent": Wording(
        ("status post splenectomy", "prior splenectomy"),
        (
            "The patient is status post splenectomy.",
            "The spleen is surgically absent.",
            "The spleen was not observed (splenectomized).",
            "Postsplenectomy status.",
            "There is evidence of prior splenectomy.",
        ),
    ),
    "gastric_distention": Wording(
        ("gastric distention", "distended stomach"),
        (
            "The stomach is markedly distended.",
            "There is gastric distention with fluid and air.",
            "Distention of the stomach is observed.",
        ),
    ),
    "gastric_wall_thickening": Wording(
        ("gastric wall thickening", "thickening of the stomach wall"),
        (
            "The wall of the stomach is thickened up to {size}.",
            "Gastric wall thickening of {size} is observed in the corpus.",
            "There is an increase in wall thickness of the stomach.",
        ),
    ),
}

_LOWER: dict[str, Wording] = {
    "bladder_stone": Wording(
        ("bladder stone", "urinary bladder calculus"),
        (
            "A calculus of {size} is observed in the urinary bladder.",
            "There is a {size} stone in the bladder lumen.",
            "The bladder contains a dependent calculus measuring {size}.",
        ),
    ),
    "bladder_wall_thickening": Wording(
        ("bladder wall thickening", "thickening of the bladder wall"),
        (
            "The bladder wall is diffusely thickened, measuring {size}.",
            "There is circumferential bladder wall thickening.",
            "An increase in bladder wall thickness is observed.",
        ),
    ),
    "colonic_dilatation": Wording(
        ("colonic dilatation", "dilated colon"),
        (
            "The colon is dilated up to {size}.",
            "Colonic dilatation is observed, the widest loop measuring {size}.",
            "There is gaseous dilatation of the proximal colon.",
        ),
    ),
    "colonic_wall_thickening": Wording(
        ("colonic wall thickening", "thickening of the colon wall", "colitis"),
        (
            "There is colonic wall thickening of {size} with pericolic fat stranding.",
            "A segment of the colon shows wall thickening, suggestive of colitis.",
            "Wall thickness of the colon is increased, measuring {size}.",
        ),
    ),
    "colonic_diverticulosis": Wording(
        ("colonic diverticulosis", "diverticulosis", "diverticula of the sigmoid colon"),
        (
            "Diverticula are observed in the descending and sigmoid colon.",
            "There is colonic diverticulosis without evidence of diverticulitis.",
            "Multiple colonic diverticula are seen.",
        ),
    ),
    "kidney_cyst": Wording(
        ("{side} renal cyst", "cortical cyst in {organ}", "simple renal cyst"),
        (
            "A cortical cyst of {size} is observed in {organ}.",
            "There is a {size} simple cyst in {organ}.",
            "{Bare}: cyst measuring {size}.",
            "Cortical cysts are seen in {organ}, the largest {size}.",
        ),
    ),
    "kidney_stone": Wording(
        ("{side} nephrolithiasis", "calculus in {organ}", "renal calculi"),
        (
            "A calculus of {size} is observed in {organ}.",
            "There is a nonobstructing {size} stone in {organ}.",
            "{Bare}: nephrolithiasis, {size}.",
            "Millimetric stones are seen in the collecting system of {organ}.",
        ),
    ),
    "hydronephrosis": Wording(
        ("{side} hydronephrosis", "pelvicalyceal dilatation of {organ}"),
        (
            "There is {grade} {side} hydronephrosis.",
            "Dilatation of the pelvicalyceal system is observed in {organ}.",
            "{Grade} hydronephrosis of {organ}, with a renal pelvis of {size}.",
        ),
    ),
    "kidney_atrophy": Wording(
        ("{side} renal atrophy", "atrophic kidney on the {side}"),
        (
            "{Organ} is atrophic, with a length of {size}.",
            "There is atrophy of {organ}.",
            "{Organ} is small and atrophic.",
        ),
    ),
    "kidney_absent": Wording(
        ("status post {side} nephrectomy", "prior {side} nephrectomy"),
        (
            "The patient is status post {side} nephrectomy.",
            "{Organ} was not observed (nephrectomized).",
            "{Organ} is surgically absent.",
            "Postsurgical changes of {side} nephrectomy.",
        ),
    ),
    "sacral_sclerotic_lesion": Wording(
        ("sclerotic lesion of the sacrum", "sacral sclerotic lesion"),
        (
            "A sclerotic lesion of {size} is observed in the sacrum.",
            "There is a {size} sclerotic focus in the sacrum.",
            "The sacrum contains a dense sclerotic lesion measuring {size}.",
        ),
    ),
    "sacral_lytic_lesion": Wording(
        ("lytic lesion of the sacrum", "sacral lytic lesion"),
        (
            "A lytic lesion of {size} is observed in the sacrum.",
            "There is a {size} lytic, destructive lesion of the sacrum.",
            "The sacrum shows a lytic lesion measuring {size}.",
        ),
    ),
    "small_bowel_dilatation": Wording(
        ("small bowel dilatation", "dilated small bowel loops"),
        (
            "Dilated small bowel loops measure up to {size}.",
            "Small bowel dilatation is observed, reaching {size} in caliber.",
            "There are fluid-filled, dilated loops of small bowel of up to {size}.",
        ),
    ),
    "small_bowel_wall_thickening": Wording(
        ("small bowel wall thickening", "wall thickening of small bowel loops"),
        (
            "There is wall thickening of small bowel loops, up to {size}.",
            "Wall thickening of {size} is observed in a segment of small bowel.",
            "A small bowel segment is thickened, suggestive of enteritis.",
        ),
    ),
}

ABDOMEN: Mapping[str, Wording] = MappingProxyType({**_UPPER, **_LOWER})
